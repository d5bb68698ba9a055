import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Sql } from '../../../platform/db/index.ts'

/** Conditions on the row `e` of a deleted environment: while any of them holds, the row is not removed. */
export const keptEnvironments = defineExtensionPoint<Sql>('kept environments')
