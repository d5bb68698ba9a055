/** The dialect of the PaaS Public API; main mounts it with `restPlugin` of core. */
import { printDocument } from '../core/index.ts'
import { platformDialect } from './dialect.ts'

export { platformDialect }

/** openapi.json, as it is committed. */
export const printOpenapi = (): string => printDocument(platformDialect)
