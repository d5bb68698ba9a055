/** Compares stored events with the published schemas (`quayside/webhooks/schemas.json`). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { z } from 'zod'

const file = join(import.meta.dirname, '..', '..', 'src', 'consumer', 'schemas.json')
const schemas = new Map<string, z.ZodType>()

function schemaOf(name: string): z.ZodType | null {
  if (schemas.size === 0) {
    const { $defs } = JSON.parse(readFileSync(file, 'utf8')) as {
      $defs: Record<string, { properties: { data: z.core.JSONSchema.JSONSchema } }>
    }
    for (const [key, { properties }] of Object.entries($defs)) schemas.set(key, z.fromJSONSchema(properties.data))
  }
  return schemas.get(name) ?? null
}

/** Throws if an event with a payload does not match its published schema. `inventedTypes` allows types that only a test declares. */
export async function assertPublished(url: string, { inventedTypes = false } = {}): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows: known } = await client.query(`select to_regclass('public.event') is not null as has`)
    if (!known[0].has) return
    const { rows } = await client.query(
      `select type || '.v' || schema_version as name, data from event where data::text <> '{}' order by ordinal desc limit 5000`,
    )
    for (const { name, data } of rows) {
      const schema = schemaOf(name)
      if (!schema && inventedTypes) continue
      const problem = schema ? schema.safeParse(data).error?.message : 'there is no such type'
      if (problem) throw new Error(`The event ${name} ${JSON.stringify(data)} does not fit its published schema: ${problem}`)
    }
  } finally {
    await client.end()
  }
}
