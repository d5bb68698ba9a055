/** The dialect of the oec.sh Public API v1; main mounts it with `restPlugin` of core. */
import { printDocument } from '../core/index.ts'
import { oecDialect } from './dialect.ts'

export { createWebhookBody } from './webhook-body.ts'
export { oecDialect }

/** openapi.json, as it is committed. */
export const printOpenapi = (): string => printDocument(oecDialect)
