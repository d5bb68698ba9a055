/** Types, fields and descriptions that the concepts with variables share. */
import type { ObjectFieldBuilder } from '@pothos/core'
import { builder, enumType, type Types } from '../../../graphql/builder/index.ts'
import { mask } from './model.ts'
import type { RevealedValue as RevealedValueRow } from './reveal.ts'

export const WriteMode = enumType('WriteMode', 'What a bulk write does with items that are not listed.', {
  MERGE: 'Keep them.',
  REPLACE: 'Delete them. Requires the permission `delete:secrets`.',
})

const RevealedValue = builder.objectRef<RevealedValueRow>('RevealedValue').implement({
  description: 'A revealed value.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Name of the variable.' }),
    value: t.exposeString('value', { description: 'Plaintext value.' }),
  }),
})

export const texts = {
  key: (subject: string) => `${subject}: letters, digits and underscores, not starting with a digit, at most 255 characters.`,
  value: (holder: string) => `Value of the ${holder}, at most 64 KiB of text without NUL characters. The mask \`${mask}\` is refused.`,
  fingerprint: 'Keyed hash of the value. Equal values within the organization have equal fingerprints.',
  isSecret: 'Whether the value is secret. A secret value is returned only by a reveal mutation.',
  once: 'Null when a request is repeated with the same idempotency key.',
}

type Fields<Result> = Pick<ObjectFieldBuilder<Types, Result>, 'field' | 'string' | 'stringList'>

/** The warnings of a payload about what was written. */
export const writeWarningsField = (
  t: Fields<{ warnings: string[] }>,
  description = 'Warnings about the written values, such as a secret value that is too short to be redacted from logs.',
) => t.stringList({ description, resolve: ({ warnings }) => warnings })

/** The value of a payload of a reveal. */
export const revealedValueField = (t: Fields<{ value: string | null }>) =>
  t.string({ nullable: true, description: `Plaintext value, returned only once. ${texts.once}`, resolve: ({ value }) => value })

/** The values of a payload of a reveal. */
export const revealedValuesField = (t: Fields<{ values: RevealedValueRow[] | null }>) =>
  t.field({
    type: [RevealedValue],
    nullable: true,
    description: `All plaintext values, sorted by key, returned only once. ${texts.once}`,
    resolve: ({ values }) => values,
  })
