/** The whole program, as it is composed: the schema and what all concepts declare. */
import { concepts } from '../../src/domain/index.ts'
import { schema } from '../../src/graphql/schema.ts'
import { assemble } from '../../src/platform/concept.ts'
import type { IdType } from '../../src/platform/id.ts'

export const domain = assemble(concepts)
export const { commands, queries } = domain

/** All types with public ids. */
export const idTypes = concepts.flatMap(({ idPrefixes }) => Object.keys(idPrefixes)) as IdType[]

export { concepts, schema }
