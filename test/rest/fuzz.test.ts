/**
 * Requests made from each dialect's OpenAPI document, with ids of earlier answers: whatever they contain, the answer is one that the document
 * declares, never a 5xx, and shows nothing of the inside. A new dialect is one line in `dialects`.
 *
 * The seed is fixed, so that a change is judged by the requests that the last one passed. FUZZ_RUNS sends more, with a random seed unless
 * FUZZ_SEED is set; a failure prints its seed and the request.
 */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createApiKey } from '../../src/domain/access/api-key/index.ts'
import { createProject } from '../../src/domain/apps/project/index.ts'
import { createOdooAccount } from '../../src/domain/odoo/odoo-account/index.ts'
import { permissions } from '../../src/platform/access.ts'
import { type CommandInput, execute } from '../../src/platform/command.ts'
import { authDialect } from '../../src/rest/auth/index.ts'
import { bridgeDialect } from '../../src/rest/bridge/index.ts'
import { type Dialect, printDocument } from '../../src/rest/core/index.ts'
import { ocoreDialect } from '../../src/rest/ocore/index.ts'
import { oecDialect } from '../../src/rest/oec/index.ts'
import { platformDialect } from '../../src/rest/platform/index.ts'
import { signIn } from '../support/person.ts'
import { type FuzzedRequest, type Operation, requestsFor, textOf } from './fuzz-input.ts'
import { startRest, type TestServer } from './support.ts'

/** `key` is the input of a key, or makes it; `person`: the owner is signed in; null: requests have no credential. */
type Fuzzed = { dialect: Dialect; key: CommandInput | (() => Promise<CommandInput>) | 'person' | null; runs: number }

const dialects: Fuzzed[] = [
  { dialect: platformDialect, key: { scope: 'ADMIN' }, runs: 150 },
  { dialect: oecDialect, key: { kind: 'OEC', scope: 'WRITE' }, runs: 60 },
  { dialect: ocoreDialect, key: { kind: 'OCORE', scope: 'ADMIN', permissions }, runs: 60 },
  { dialect: ocoreDialect, key: 'person', runs: 40 },
  { dialect: bridgeDialect, key: () => bridgeKey(), runs: 40 },
  { dialect: authDialect, key: null, runs: 40 },
]

const { FUZZ_RUNS, FUZZ_SEED } = process.env
const seed = FUZZ_SEED ? Number(FUZZ_SEED) : FUZZ_RUNS ? Date.now() % 1_000_000 : 20
const factor = FUZZ_RUNS ? Number(FUZZ_RUNS) : 1

let rest: TestServer
beforeAll(async () => {
  const limits = ['platform', 'auth', 'authentication', 'oec-ro', 'oec-rw', 'ocore', 'bridge'].map((name) => `${name}=1000000`).join(',')
  const others = new Set(dialects.slice(1).map(({ dialect }) => dialect))
  rest = await startRest([platformDialect, ...others], { RATE_LIMITS: limits })
  await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'fuzz' }, createProject, { name: 'Fuzzed' })
})
afterAll(() => rest.close())

it.each(dialects)(`$dialect.name answers everything as its document says (seed ${seed})`, async ({ dialect, key, runs }) => {
  const operations = operationsOf(dialect)
  const known = new KnownIds(operations.map(({ path }) => path))
  let credential = key && (await createKey(key))
  let sent = 0
  const send = async (request: FuzzedRequest) => {
    const { path, method } = operations[request.operation]!
    const params = known.paramsFor(path, request)
    const url = `${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name]!)}${request.query.length > 0 ? `?${request.query.join('&')}` : ''}`
    const payload = request.body === null ? undefined : textOf(request.body, (index) => known.any(index))
    const verb = request.method ?? method.toUpperCase()
    const headers = { ...(key === 'person' ? { 'x-org-slug': 'acme' } : {}), ...request.headers }
    const answer = await rest.call(verb, url, { key: credential ?? undefined, payload, headers })
    const told = `${verb} ${url} ${JSON.stringify(headers)} ${payload}`.slice(0, 2_000)
    expect(answer.status, told).toBeLessThan(500)
    expect(answer.text, told).not.toMatch(/\.[jt]s:\d|node_modules|\n +at |relation "|prisma/i)
    sent += 1
    if (answer.status < 300 && verb !== 'HEAD') known.learn(path, params, answer.body)
    // It has revoked its own key, or ended its session.
    if (answer.status === 401 && key && request.headers.authorization === undefined) credential = await createKey(key)
  }
  const property = fc.asyncProperty(fc.array(requestsFor(operations), { minLength: 1, maxLength: 8 }), async (requests) => {
    for (const request of requests) await send(request)
  })
  // Nothing is shrunk, because ids differ from run to run, and the requests would not be the same ones.
  const limits = { numRuns: runs * factor, endOnFailure: true, interruptAfterTimeLimit: 20_000 * factor }
  const { failed, errorInstance } = await fc.check(property, { seed, ...limits })
  if (failed) throw new Error(`FUZZ_SEED=${seed}: ${(errorInstance as Error).message}`)
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  expect(sent).toBeGreaterThan(runs)
  const unexpected = rest.app.logged.filter(({ level }) => Number(level) >= 50)
  expect(unexpected).toEqual([])
})

const act = () => ({ app: rest.app, caller: rest.acme.owner, requestId: randomUUID() })

async function createKey(input: NonNullable<Fuzzed['key']>): Promise<string> {
  if (input === 'person') return (await signIn(rest.app, rest.acme.owner)).accessToken
  const own = typeof input === 'function' ? await input() : input
  return (await execute(act(), createApiKey, { name: 'Fuzz', ...own })).plaintextKey!
}

async function bridgeKey(): Promise<CommandInput> {
  const account = { name: 'ERP', url: 'http://127.0.0.1:9', database: 'acme', login: 'admin', secret: 'admin-password' }
  const { odooAccount } = await execute(act(), createOdooAccount, account)
  return { kind: 'BRIDGE', scope: 'WRITE', odooAccountId: odooAccount.id }
}

function operationsOf(dialect: Dialect): { path: string; method: string; operation: Operation }[] {
  const { paths } = JSON.parse(printDocument(dialect)) as { paths: Record<string, Record<string, Operation>> }
  return Object.entries(paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })))
}

type Params = Record<string, string>

/** The ids in answers, with those of the objects that they belong to. */
class KnownIds {
  readonly #paths: readonly string[]
  readonly #places: Params[] = []

  constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  any(index: number): string {
    const ids = this.#places.flatMap((place) => Object.values(place).slice(-1))
    return ids[index % ids.length] ?? randomUUID()
  }

  /** Ids for the parameters of a path: of one object and what it belongs to, if such a one is known. */
  paramsFor(path: string, { ids, odd }: FuzzedRequest): Params {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!)
    const fitting = this.#places.filter((place) => names.every((name) => name in place))
    const found = fitting[ids % fitting.length] ?? Object.fromEntries(names.map((name) => [name, this.any(ids)]))
    const replaced = odd && names.length > 0 ? { [names[odd.index % names.length]!]: odd.id } : {}
    return { ...found, ...replaced }
  }

  /** Takes the ids of the objects that an answer lists or shows. */
  learn(path: string, params: Params, body: unknown): void {
    const collection = path.split('/').findLast((part) => !part.startsWith('{'))
    const [, name] = this.#paths.map((each) => new RegExp(`/${collection}/\\{(\\w+)\\}$`).exec(each)).find(Boolean) ?? []
    if (name === undefined || typeof body !== 'object' || body === null) return
    for (const object of [body, ...Object.values(body).flat()] as { id?: unknown }[]) {
      if (typeof object?.id === 'string') this.#places.push({ ...params, [name]: object.id })
    }
    this.#places.splice(0, this.#places.length - 200)
  }
}
