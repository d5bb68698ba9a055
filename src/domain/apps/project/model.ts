import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Sql } from '../../../platform/db/index.ts'

/** Conditions on the row `p` of a deleted project: while any of them holds, the row is not removed. */
export const keptProjects = defineExtensionPoint<Sql>('kept projects')
