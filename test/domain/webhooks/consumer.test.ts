import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import openapiTypescript, { astToString } from 'openapi-typescript'
import { Webhook } from 'svix'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { z } from 'zod'
import { concepts } from '../../../src/domain/index.ts'
import { generateEd25519Secret, generateSecret, parseSecret, publicKeyOf, sign } from '../../../src/domain/webhooks/endpoint/signature.ts'
import {
  type Baseline,
  catalogue,
  extendBaseline,
  findBreaks,
  inVersion,
  printOpenapi,
  printSchemas,
} from '../../../src/domain/webhooks/event-type/index.ts'
import { assemble } from '../../../src/platform/concept.ts'
import type { EventDefinition } from '../../../src/platform/events.ts'

type Consumer = typeof import('../../../src/consumer/index.js')
let consumer: Consumer
const root = join(import.meta.dirname, '..', '..', '..')

beforeAll(async () => {
  // Imported by the name that receivers use.
  consumer = (await import(createRequire(import.meta.url).resolve('quayside/webhooks'))) as Consumer
})

const body = Buffer.from(
  '{"type":"project.updated","timestamp":"2026-01-01T00:00:00.000Z","data":{"projectId":"proj_1","name":"Größe 🚀","slug":"a\\/b"},"id":"evt_1","organizationId":"org_1","sequence":1,"schemaVersion":1}',
)

function signed(secret: string, { payload = body, id = 'evt_1', atMs = Date.now() } = {}) {
  const timestampSeconds = Math.floor(atMs / 1_000)
  const signature = sign({ id, timestampSeconds, body: payload, keys: [parseSecret(secret)] })
  return { 'webhook-id': id, 'webhook-timestamp': String(timestampSeconds), 'webhook-signature': signature }
}

const hmac = generateSecret()
const ed25519 = generateEd25519Secret()
const publicKey = publicKeyOf(parseSecret(ed25519))!

describe.each([
  ['v1', hmac, hmac],
  ['v1a', ed25519, publicKey],
])('verify with %s', (_version, signing, verifying) => {
  it('accepts raw bytes and strings, and returns the narrowed event', () => {
    for (const raw of [body, new Uint8Array(body), body.toString()]) {
      const event = consumer.verify(raw, signed(signing), verifying)
      expect(event.type).toBe('project.updated')
      if (event.type === 'project.updated') {
        expectTypeOf(event.data.slug).toEqualTypeOf<string>()
        expect(event.data).toMatchObject({ name: 'Größe 🚀', slug: 'a/b' })
      }
    }
  })

  it('accepts Headers, plain headers in any case, and the older names', () => {
    const headers = signed(signing)
    const older = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.replace('webhook-', 'svix-'), value]))
    const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]))
    const foreign = { get: (name: string) => new Headers(headers).get(name) }
    for (const each of [headers, new Headers(headers), foreign, upper, older])
      expect(consumer.verify(body, each, verifying).id).toBe('evt_1')
  })

  it('refuses parsed JSON', () => {
    expect(() => consumer.verify(JSON.parse(body.toString()) as never, signed(signing), verifying)).toThrow(/raw body/)
  })

  it('rejects a tampered body, id or timestamp, a missing header and another secret', () => {
    const headers = signed(signing)
    const other = signing === hmac ? generateSecret() : publicKeyOf(parseSecret(generateEd25519Secret()))!
    const attempts: [Uint8Array, Record<string, string>, string][] = [
      [Buffer.from(body.toString().replace('proj_1', 'proj_2')), headers, verifying],
      [body, { ...headers, 'webhook-id': 'evt_2' }, verifying],
      [body, { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) - 1) }, verifying],
      [body, { 'webhook-id': 'evt_1', 'webhook-timestamp': headers['webhook-timestamp'] }, verifying],
      [body, headers, other],
    ]
    for (const [raw, each, secret] of attempts) expect(() => consumer.verify(raw, each, secret)).toThrow(consumer.WebhookVerificationError)
  })

  it('rejects a timestamp 301 s off and accepts one 299 s off, either way', () => {
    const now = 1_800_000_000_000
    vi.useFakeTimers({ now, toFake: ['Date'] })
    try {
      for (const sense of [-1, 1]) {
        expect(consumer.verify(body, signed(signing, { atMs: now + sense * 299_000 }), verifying).id).toBe('evt_1')
        expect(() => consumer.verify(body, signed(signing, { atMs: now + sense * 301_000 }), verifying)).toThrow(
          consumer.WebhookVerificationError,
        )
      }
    } finally {
      vi.useRealTimers()
    }
  })

  it.each(['null', '1', '"text"', '[]', '{}', '{"type":1}', 'not json', ''])(
    'rejects the signed body %j, which is not an event',
    (text) => {
      const payload = Buffer.from(text)
      expect(() => consumer.verify(payload, signed(signing, { payload }), verifying)).toThrow(consumer.WebhookVerificationError)
    },
  )

  it.each([
    undefined,
    null,
    '',
    'abc',
    7,
    [],
    [undefined],
    'whsec_',
    'whsec_***',
    'whsec_a',
    'whpk_',
    'whpk_***',
    `whpk_${'A'.repeat(40)}`,
  ])('throws a TypeError about the secret for %j, alone or beside a valid one', (secret) => {
    for (const each of [secret, ...(Array.isArray(secret) ? [] : [[verifying, secret]])]) {
      expect(() => consumer.verify(body, signed(signing), each as never)).toThrow(
        expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('secret') }),
      )
    }
  })

  it('rejects a signature that is garbage', () => {
    for (const garbage of ['v1', 'v1a', 'v1,***', 'v1a,***', ',', ' ', 'v1,é', 'v1a,AA==']) {
      const headers = { ...signed(signing), 'webhook-signature': garbage }
      expect(() => consumer.verify(body, headers, verifying)).toThrow(consumer.WebhookVerificationError)
    }
  })

  it('accepts several secrets during a rotation', () => {
    expect(consumer.verify(body, signed(signing), [generateSecret(), verifying]).id).toBe('evt_1')
  })
})

const { eventTypes } = assemble(concepts)

describe('verify', () => {
  it('returns an event of an unknown type as a typed unknown event instead of throwing', () => {
    const payload = Buffer.from(body.toString().replace('project.updated', 'future.thing'))
    const event = consumer.verify(payload, signed(hmac, { payload }), hmac)
    expect(event).toMatchObject({ type: 'unknown', originalType: 'future.thing', data: { slug: 'a/b' } })
    if (event.type === 'unknown') expectTypeOf(event.data).toBeUnknown()
  })

  it('agrees with the svix package on the same request', () => {
    expect(() => new Webhook(hmac).verify(body, signed(hmac))).not.toThrow()
  })

  it('knows every type that the product declares', () => {
    expect(consumer.eventTypes).toEqual(eventTypes.all.map(({ type }) => type))
  })
})

describe('the printed catalogue', () => {
  let folder: string
  beforeAll(async () => {
    await mkdir(join(root, 'node_modules/.cache'), { recursive: true })
    folder = await mkdtemp(join(root, 'node_modules/.cache/webhook-types-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** Errors of strict TypeScript in a file. */
  const compile = async (text: string, environment: readonly string[] = ['--types', 'node']): Promise<string> => {
    const file = join(folder, 'receiver.mts')
    await writeFile(file, text)
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const args = [
      '--noEmit',
      '--strict',
      '--target',
      'es2024',
      '--module',
      'nodenext',
      '--moduleResolution',
      'nodenext',
      ...environment,
      '--ignoreConfig',
      file,
    ]
    return new Promise((resolve) => execFile(process.execPath, [tsc, ...args], { cwd: root }, (_error, stdout) => resolve(stdout)))
  }
  const receiver = (cases: readonly string[]) =>
    `import { verify } from 'quayside/webhooks'
     export function handle(raw: Uint8Array, headers: Headers): string {
       const event = verify(raw, headers, 'whsec_')
       switch (event.type) {
         ${cases.map((type) => `case '${type}': return event.id`).join('\n')}
         default: { const never: never = event; return never }
       }
     }`

  it('makes a switch over type exhaustive under strict TypeScript', async () => {
    const all = [...eventTypes.all.map(({ type }) => type), 'unknown']
    expect(await compile(receiver(all))).toBe('')
    expect(await compile(receiver(all.filter((type) => type !== 'project.updated')))).toContain("not assignable to type 'never'")
  })

  it('compiles where there are neither a browser’s types nor Node’s', async () => {
    const text = `import { verify, type RequestHeaders } from 'quayside/webhooks'
      export const idOf = (raw: Uint8Array, headers: RequestHeaders): string => verify(raw, headers, 'whsec_').id`
    expect(await compile(text, ['--lib', 'es2022'])).toBe('')
    expect(await compile(receiver([...eventTypes.all.map(({ type }) => type), 'unknown']), ['--lib', 'es2022,dom'])).toBe('')
  }, 60_000)

  it('is an OpenAPI 3.1 document with a webhook for each type, which openapi-typescript compiles', async () => {
    const document = JSON.parse(printOpenapi(eventTypes.all)) as { openapi: string; webhooks: Record<string, unknown> }
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.webhooks)).toEqual(eventTypes.all.map(({ type }) => type))
    const result = await new Validator().validate(structuredClone(document))
    expect(result).toMatchObject({ valid: true })
    const text = astToString(await openapiTypescript(document as never))
    expect(
      await compile(
        `${text}\nexport type Updated = webhooks['project.updated']['post']['requestBody']['content']['application/json']['data']['slug']\nexport const slug: Updated = 'a'`,
      ),
    ).toBe('')
  })

  it('has samples that match the schema of their version', () => {
    for (const { type, version, schema, sample } of catalogue(eventTypes.all)) {
      const result = z.fromJSONSchema(schema as never).safeParse(sample)
      expect({ type, version, success: result.success }).toEqual({ type, version, success: true })
    }
  })

  it('has the schemas of all versions in one file', () => {
    const { $defs } = JSON.parse(printSchemas(eventTypes.all)) as { $defs: Record<string, unknown> }
    expect(Object.keys($defs)).toEqual(catalogue(eventTypes.all).map(({ type, version }) => `${type}.v${version}`))
  })

  it('has a self-contained schema for each type, and as a whole accepts a body of any type and nothing else', () => {
    type Schema = { properties: { type: { const: string } }; examples: [Record<string, unknown>] }
    const schemas = JSON.parse(printSchemas(eventTypes.all)) as { $defs: Record<string, Schema> }
    const takes = (schema: unknown, body: unknown) => z.fromJSONSchema(schema as never).safeParse(body).success
    for (const schema of Object.values(schemas.$defs)) {
      const [body] = schema.examples
      expect(JSON.stringify(schema)).not.toContain('$ref')
      expect({ body, alone: takes(schema, body), whole: takes(schemas, body) }).toEqual({ body, alone: true, whole: true })
      expect(takes(schemas, { ...body, type: 'no.such' })).toBe(false)
      expect(takes(schemas, { ...body, data: 7 })).toBe(false)
    }
  })

  it('is compatible with the committed baseline', async () => {
    const baseline = JSON.parse(await readFile(join(root, 'src/consumer/baseline.json'), 'utf8')) as Baseline
    expect(findBreaks(baseline, catalogue(eventTypes.all))).toEqual([])
  })
})

describe('compatibility', () => {
  const shape = { id: z.string(), state: z.enum(['on', 'off']), note: z.string().nullable(), parts: z.array(z.object({ n: z.number() })) }
  const define = (schema: z.ZodType, version = 1, former: EventDefinition['former'] = []): EventDefinition => ({
    type: 'thing.changed',
    version,
    description: 'Something.',
    subject: 'Project',
    schema,
    sample: {},
    former,
  })
  const baseline = extendBaseline({}, catalogue([define(z.object(shape))]))
  const breaks = (definition: EventDefinition) => findBreaks(baseline, catalogue([definition]))

  it.each([
    ['a new field', z.object({ ...shape, more: z.number() })],
    ['a new optional field', z.object({ ...shape, more: z.number().optional() })],
    ['one more word of a list', z.object({ ...shape, state: z.enum(['on', 'off', 'broken']) })],
    ['a new field deep inside', z.object({ ...shape, parts: z.array(z.object({ n: z.number(), m: z.string() })) })],
  ])('%s passes', (_, schema) => {
    expect(breaks(define(schema))).toEqual([])
  })

  it.each([
    ['a removed field', z.object({ state: shape.state, note: shape.note, parts: shape.parts }), 'data.id was removed'],
    ['a field that may be missing', z.object({ ...shape, id: z.string().optional() }), 'data.id may now be missing'],
    ['another type', z.object({ ...shape, id: z.number() }), 'data.id may now be number'],
    ['null where there was none', z.object({ ...shape, id: z.string().nullable() }), 'data.id may now be null'],
    ['a narrowed field', z.object({ ...shape, note: z.null() }), 'data.note can no longer be string'],
    ['a word taken from a list', z.object({ ...shape, state: z.enum(['on']) }), 'data.state can no longer be "off"'],
    ['a removed field deep inside', z.object({ ...shape, parts: z.array(z.object({})) }), 'data.parts[].n was removed'],
  ])('%s fails', (_, schema, text) => {
    expect(breaks(define(schema))).toEqual([expect.stringContaining(text)])
  })

  it('a removed field passes when a new version is declared and the old one kept; a removed type or version fails', () => {
    const smaller = z.object({ id: z.string() })
    const former = [{ version: 1, schema: z.object(shape), sample: {}, from: (data: { id: string }) => data }] as EventDefinition['former']
    expect(breaks(define(smaller, 2, former))).toEqual([])
    expect(breaks(define(smaller, 2))).toEqual([expect.stringContaining('v1 was removed')])
    expect(findBreaks(baseline, [])).toEqual([expect.stringContaining('v1 was removed')])
    expect(() => extendBaseline(baseline, [])).toThrow('incompatible')
  })
})

describe('versions', () => {
  it('data of a type without former versions is returned unchanged', () => {
    expect(inVersion(eventTypes, 'project.updated', 1, { a: 1 }, 1)).toEqual({ version: 1, data: { a: 1 } })
  })
})
