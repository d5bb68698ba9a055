/** What a write of env vars can contain. */
import { z } from 'zod'
import { bulkOf, keySchema, uniqueBy, valueSchema } from '../variable/index.ts'

/** What the value of an env var is sealed for. */
export const valueIdentity = (id: string) => `env_var:${id}:value`

/** A flag that is omitted keeps its value, or gets the default of a new variable. */
export const flags = { isSecret: z.boolean().nullish(), buildTime: z.boolean().nullish(), runTime: z.boolean().nullish() }

export const entrySchema = z.object({ key: keySchema, value: valueSchema, ...flags })
export type Entry = z.infer<typeof entrySchema>

export const bulkSchema = bulkOf(entrySchema).superRefine(uniqueBy('key', (item) => item.key))

/** Entries that may repeat the ID of the stored variable, as a client does that sends back what it has read. */
const identifiedSchema = entrySchema.extend({
  id: z.string().max(100, { error: 'must be at most 100 characters' }).nullish().describe('ID of the existing variable with this key.'),
})
export type IdentifiedEntry = z.infer<typeof identifiedSchema>

export const identifiedBulkSchema = bulkOf(identifiedSchema).superRefine(uniqueBy('key', (item) => item.key))
