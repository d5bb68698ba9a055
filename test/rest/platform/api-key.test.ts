/** Keys that are not valid (any more) get the same answers from the REST API and from GraphQL, whatever is wrong with them. */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createApiKey, generateKey, importApiKey, revokeApiKey, rotateApiKey } from '../../../src/domain/access/api-key/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { type Answer, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([platformDialect])
})
afterAll(() => rest?.close())

const request = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
const create = async (input: CommandInput = {}) => {
  const { apiKey, plaintextKey } = await execute(request(), createApiKey, { name: 'ci', scope: 'ADMIN', ...input })
  return { id: apiKey.id, text: plaintextKey! }
}
const doors: Record<string, (key: string) => Promise<Answer>> = {
  REST: (key) => rest.call('GET', '/api/projects', { key }),
  GraphQL: (key) => rest.call('POST', '/graphql', { key, body: { query: '{ __typename }' } }),
}

/** Each returns a key that is refused. Those that were valid were used before, so that a process could know them. */
const refused: Record<string, () => Promise<string>> = {
  'an unknown key': async () => generateKey('ak_live_'),
  'a key that has expired': async () => {
    const { id, text } = await used(await create())
    await run(rest.app.db, sql`update api_key set expires_at = app_now() - interval '1 second' where id = ${id}::uuid`)
    await forget()
    return text
  },
  'a revoked key': async () => {
    const { id, text } = await used(await create())
    await execute(request(), revokeApiKey, { id })
    return text
  },
  'a text that was rotated out': async () => {
    const { id, text } = await used(await create())
    await execute(request(), rotateApiKey, { id, graceMs: 0 })
    return text
  },
  'a truncated key': async () => (await create()).text.slice(0, -1),
  'a key with a wrong checksum': async () => {
    const { text } = await create()
    return text.slice(0, -1) + (text.endsWith('a') ? 'b' : 'a')
  },
  'a key with another prefix': async () => (await create()).text.replace('ak_live_', 'oec_live_rw_'),
  'the hash of a key': async () =>
    createHash('sha256')
      .update((await create()).text)
      .digest('hex'),
  'a key of a member who has left': async () => {
    const owner = rest.other.owner
    const { plaintextKey: text } = await execute({ ...request(), caller: owner }, createApiKey, { name: 'ci', scope: 'READ' })
    await used({ text: text! })
    await run(rest.app.db, sql`delete from member where user_id = ${owner.userId}::uuid`)
    await forget()
    return text!
  },
  'an imported key whose prefix is not that of its kind': async () => {
    const text = `ak_live_${randomBytes(10).toString('hex')}`
    const sha256 = createHash('sha256').update(text).digest('hex')
    await execute(request(), importApiKey, { name: 'old', kind: 'OEC', scope: 'READ', sha256, prefix: 'oec_live_ro_' })
    return text
  },
}

async function used<Key extends { text: string }>(key: Key): Promise<Key> {
  for (const send of Object.values(doors)) expect((await send(key.text)).status).toBe(200)
  return key
}

async function forget() {
  rest.app.wake.notify('credentials')
  await rest.app.wake.next('credentials', 60_000)
}

it.each(Object.entries(refused))('both answer 401 with WWW-Authenticate, as to any unknown key, to %s', async (_title, prepare) => {
  const text = await prepare()
  for (const send of Object.values(doors)) {
    const { status, headers, body } = await send(text)
    expect({ status, header: headers['www-authenticate'] }).toEqual({ status: 401, header: 'Bearer' })
    const unknown = await send(generateKey('ak_live_'))
    const told = (answer: unknown) => JSON.stringify(answer).replaceAll(/"requestId":"[^"]*"/g, '')
    expect(told(body)).toBe(told(unknown.body))
  }
})
