/** The dialect of the Odoo bridge; main mounts it with `restPlugin` of core. */
import { printDocument } from '../core/index.ts'
import { bridgeDialect } from './dialect.ts'

export { bridgeDialect }

/** openapi.json, as it is committed. */
export const printOpenapi = (): string => printDocument(bridgeDialect)
