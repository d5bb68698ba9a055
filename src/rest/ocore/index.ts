/** The dialect of the oCore API; main mounts it with `restPlugin` of core. */
import { printDocument } from '../core/index.ts'
import { ocoreDialect } from './dialect.ts'

export { createWebhookBody } from './webhook-body.ts'

export { ocoreDialect }

/** openapi.json, as it is committed. */
export const printOpenapi = (): string => printDocument(ocoreDialect)
