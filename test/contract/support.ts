/** The whole program, as it is composed: the schema and what all concepts declare. */
import { concepts } from '../../src/domain/index.ts'
import { schema } from '../../src/graphql/schema.ts'
import { assemble } from '../../src/platform/concept.ts'

export const domain = assemble(concepts)
export const { commands, queries } = domain

export { concepts, schema }
