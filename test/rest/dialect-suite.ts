/** What every row of every dialect guarantees, generated from the route table, so that new rows are tested as well. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey } from '../../src/domain/access/api-key/index.ts'
import { createProject } from '../../src/domain/apps/project/index.ts'
import { concepts } from '../../src/domain/index.ts'
import { type CommandInput, execute } from '../../src/platform/command.ts'
import { assemble } from '../../src/platform/concept.ts'
import { row, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { areasOf, type Dialect, pathsOf, type Route } from '../../src/rest/core/index.ts'
import { intercepting } from '../support/intercept.ts'
import { signIn } from '../support/person.ts'
import { junk, maskedBodies, nearly, words } from './refused-input.ts'
import { type Call, startRest, type Tenant, type TestServer } from './support.ts'

const { commands: commandsByName, queries: queriesByName } = assemble(concepts)

/** Fields of input that take ids beside names, and are not declared as ids. */
const takesIdsOrNames = ['buckets', 'resourceId']

/** Ids for the parameters of every path, by name. */
export type Params = Record<string, string>

type Fixture = {
  dialect: Dialect
  /** Keys of the dialect. Default: those of the platform. */
  keys?: Parameters<typeof startRest>[2]
  /** Creates one object of each type for an organization. */
  populate(server: TestServer, tenant: Tenant): Promise<Params>
  /** The message of an error response. */
  textOf(body: unknown): unknown
  /** A valid body for each row that needs one, by the id of the row. */
  bodies(params: Params): Record<string, Record<string, unknown>>
}

export function describeDialect({ dialect, keys, populate, textOf, bodies }: Fixture): void {
  let rest: TestServer
  let mine: Params
  let foreign: Params
  let accessToken: string

  beforeAll(async () => {
    const started = await startRest([dialect], {}, keys)
    // Where people must name the organization, the owner names their own.
    const ofPerson = (options: Call = {}) =>
      dialect.organizationHeader && options.key === accessToken
        ? { ...options, headers: { 'x-org-slug': 'acme', ...options.headers } }
        : options
    rest = { ...started, call: (method, url, options) => started.call(method, url, ofPerson(options)) }
    accessToken = (await signIn(rest.app, rest.acme.owner)).accessToken
    mine = await populate(rest, rest.acme)
    foreign = await populate(rest, rest.other)
  })
  afterAll(() => rest.close())

  const [prefix, ...aliases] = dialect.prefixes
  const areas = areasOf(dialect)
  const urlOf = (path: string, params: Params) => prefix + path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name]!)
  const rows = dialect.routes.flatMap((route) => pathsOf(route).map((path) => ({ route, path, title: `${route.method} ${path}` })))
  const parameters = (path: string) => [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!)
  /** Administrators of the installation see the objects of all organizations. */
  const ofTenants = rows.filter(({ path }) => !path.startsWith('/admin/'))
  const withParams = ofTenants.filter(({ path }) => path.includes('{'))
  const writes = rows.filter(({ route }) => route.writes)
  const reads = rows.filter(({ route }) => route.runs === 'query')
  const commands = rows.filter(({ route }) => route.runs === 'command')
  const reveals = rows.filter(({ route }) => route.reveals)
  /** Statuses of a request whose input is refused, by what is wrong with a value. */
  const refused = [dialect.status.invalid, dialect.brokenRulesAreUnprocessable ? dialect.status.unprocessable : dialect.status.invalid]
  /** A credential that a row accepts: a key with the scope or, where keys are refused, the token of the owner. */
  const credentialOf = (route: Route, scope: 'READ' | 'ADMIN' = 'ADMIN') => (route.people ? accessToken : rest.acme.key[scope])
  const takesBody = (route: Route) => route.method !== 'GET' && route.method !== 'DELETE'

  describe.each(rows)('$title', ({ route, path }) => {
    it('answers 401 with WWW-Authenticate for a missing or invalid key', async () => {
      const url = urlOf(path, mine)
      const refused = [
        await rest.call(route.method, url),
        await rest.call(route.method, url, { key: `${dialect.keyPrefix}unknown-key` }),
        await rest.call(route.method, url, { headers: { authorization: `Basic ${rest.acme.key.ADMIN}` } }),
        await rest.call(route.method, url, { headers: { authorization: 'Bearer bad', 'x-api-key': rest.acme.key.ADMIN } }),
      ]
      for (const answer of refused) {
        expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer', 'cache-control': 'no-store' } })
        expect(textOf(answer.body)).toEqual(expect.any(String))
      }
    })
  })

  it.each(withParams)('$title answers 404 alike for an unknown, a malformed and a foreign id', async ({ route, path }) => {
    for (const name of parameters(path)) {
      const bad = [newId(), 'nope', '%zz', '%00', 'a'.repeat(300), foreign[name]!, `proj_${'7'.repeat(26)}`]
      for (const id of bad) {
        const answer = await rest.call(route.method, urlOf(path, { ...mine, [name]: id }), { key: credentialOf(route) })
        expect(answer, `${name} = ${id}`).toMatchObject({ status: 404 })
        expect(textOf(answer.body)).toBe('The object does not exist.')
      }
    }
    const stranger = await rest.call(route.method, urlOf(path, foreign), { key: credentialOf(route) })
    expect(stranger).toMatchObject({ status: 404 })
  })

  /** The fields of bodies and queries that take an id, from what the command or query declares. */
  const idFields = ofTenants.flatMap(({ route, path, title }) => {
    const ids = (commandsByName.get(route.name) ?? queriesByName.get(route.name))?.ids ?? {}
    return (['body', 'query'] as const).flatMap((place) =>
      Object.entries(route[place] ?? {})
        .map(([name, source]) => ({ name, to: typeof source === 'string' ? source : source.to }))
        .filter(({ to }) => to in ids || `${to}.*` in ids || takesIdsOrNames.includes(to))
        .map(({ name, to }) => ({
          route,
          path,
          place,
          name,
          isList: `${to}.*` in ids || to === 'buckets',
          title: `${title} ${place}.${name}`,
        })),
    )
  })

  it.each(idFields)('$title answers a foreign, an unknown and a malformed id alike, and its own differently', async (field) => {
    const { route, path, place, name, isList } = field
    const send = async (id: string) => {
      const value = isList ? [id] : id
      const url = urlOf(path, mine)
      const { status, body } = await rest.call(route.method, place === 'query' ? `${url}?${name}=${encodeURIComponent(id)}` : url, {
        key: credentialOf(route),
        ...(place === 'body' ? { body: { ...bodies(mine)[route.id], [name]: value } } : {}),
      })
      return { status, body }
    }
    const unknown = await send(newId())
    for (const id of [newId(), 'nope', '%', ...Object.values(foreign)]) expect({ id, ...(await send(id)) }).toEqual({ id, ...unknown })
    const own = await Promise.all(Object.values(mine).map(send))
    expect(own).toContainEqual(expect.not.objectContaining({ status: unknown.status, body: unknown.body }))
  })

  it.each(rows.filter(({ route }) => route.people))('$title answers 403 to every API key', async ({ route, path }) => {
    for (const key of Object.values(rest.acme.key)) {
      const answer = await rest.call(route.method, urlOf(path, mine), { key, ...(takesBody(route) ? { body: {} } : {}) })
      expect(answer).toMatchObject({ status: 403 })
      expect(textOf(answer.body)).toBe('Only a signed-in user can do this, not an API key.')
    }
  })

  const countEvents = async () => (await row<{ count: number }>(rest.app.db, sql`select count(*)::int as count from event`))!.count

  /** A command that only records what is read is open to those who may read. */
  const changing = commands.filter(({ route }) => !commandsByName.get(route.name)?.permission?.startsWith('view:'))

  it.each(changing)('$title answers 403 to a read-only key, and changes nothing', async ({ route, path }) => {
    const before = await countEvents()
    const answer = await rest.call(route.method, urlOf(path, mine), {
      key: rest.acme.key.READ,
      ...(takesBody(route) ? { body: bodies(mine)[route.id] ?? {} } : {}),
    })
    expect(answer).toMatchObject({ status: 403 })
    expect(textOf(answer.body)).toEqual(expect.any(String))
    expect(await countEvents()).toBe(before)
  })

  const act = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
  const createKey = async (input: CommandInput) =>
    (await execute(act(), createApiKey, { name: 'suite', scope: 'WRITE', ...input })).plaintextKey!
  /** Of a key that may everything. */
  const fullAccess = () => rest.acme.keys.ADMIN

  it('answers 401 to an expired key, on every row', async () => {
    const key = await createKey({ ...fullAccess(), name: 'expired', expiresAt: new Date(Date.now() + 3_600_000) })
    await run(rest.app.db, sql`update api_key set expires_at = app_now() where name = 'expired'`)
    for (const { route, path, title } of rows) {
      expect(await rest.call(route.method, urlOf(path, mine), { key }), title).toMatchObject({
        status: 401,
        headers: { 'www-authenticate': 'Bearer' },
      })
    }
  })

  const showing = rows.filter(({ route, path }) => !route.people && (path.includes('{') || route.runs === 'query'))
  /** Keys of a dialect without such a row need not belong to projects. */
  if (showing.length > 0)
    it('shows nothing of other projects to a key that is limited to one', async () => {
      const { project } = await execute(act(), createProject, { name: 'Elsewhere' })
      const key = await createKey({ ...fullAccess(), projectId: project.id })
      for (const { route, path, title } of showing) {
        const answer = await rest.call(route.method, urlOf(path, mine), {
          key,
          ...(takesBody(route) ? { body: bodies(mine)[route.id] ?? {} } : {}),
        })
        expect(path.includes('{') ? [403, 404] : [200, 403], `${title} answered ${answer.text}`).toContain(answer.status)
        for (const id of Object.values(mine)) expect(answer.text, title).not.toContain(id)
      }
    })

  it.each(writes.flatMap(({ route, path, title }) => maskedBodies(route.body).map((body) => ({ route, path, body, title }))))(
    '$title refuses a mask that is written back: $body',
    async ({ route, path, body }) => {
      const answer = await rest.call(route.method, urlOf(path, mine), { key: rest.acme.key.ADMIN, body })
      expect(refused).toContain(answer.status)
      expect(textOf(answer.body)).toContain('value')
    },
  )

  it('answers 401 to the keys of other APIs, on every row', async () => {
    const kinds = [{ kind: 'PLATFORM' }, { kind: 'OEC' }, { kind: 'OCORE', permissions: ['view:projects', 'manage:projects'] }]
    const others = (await Promise.all(kinds.map(createKey))).filter((key) => !key.startsWith(dialect.keyPrefix))
    expect(others.length).toBeGreaterThanOrEqual(2)
    for (const { route, path, title } of rows) {
      for (const key of others) expect((await rest.call(route.method, urlOf(path, mine), { key })).status, title).toBe(401)
    }
  })

  it.each(reads)(
    '$title answers a read-only key the same by every prefix, with X-API-Key, with a trailing slash and by HEAD',
    async ({ route, path }) => {
      const url = urlOf(path, mine)
      const key = credentialOf(route, 'READ')
      const timeless = (text: string) => text.replaceAll(/"(timestamp|last_used_at|lastUsedAt)":("[^"]*"|null)/g, '')
      const first = await rest.call('GET', url, { key })
      expect(first.status).toBe(200)
      expect(first.headers['content-type']).toBe('application/json; charset=utf-8')
      const same = [
        await rest.call('GET', `${url}/`, { key }),
        await rest.call('GET', url, { headers: { 'x-api-key': key } }),
        ...(await Promise.all(aliases.map((alias) => rest.call('GET', url.replace(prefix, alias), { key })))),
      ]
      for (const answer of same)
        expect({ status: answer.status, text: timeless(answer.text) }).toEqual({ status: 200, text: timeless(first.text) })
      expect(await rest.call('HEAD', url, { key })).toMatchObject({
        status: 200,
        text: '',
        headers: { 'content-length': first.headers['content-length'] },
      })
    },
  )

  it.each(reveals)('$title answers 429 with Retry-After beyond the limit', async ({ path }) => {
    const url = urlOf(path, mine)
    await run(rest.app.db, sql`delete from reveal_allowance`)
    const limit = rest.app.settings.REVEALS_PER_MINUTE
    expect(await rest.call('GET', url, { key: rest.acme.key.ADMIN })).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'no-store' },
    })
    await run(rest.app.db, sql`update reveal_allowance set used = ${limit}`)
    const refused = await rest.call('GET', url, { key: rest.acme.key.ADMIN })
    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(textOf(refused.body)).toEqual(expect.any(String))
    await run(rest.app.db, sql`delete from reveal_allowance`)
  })

  it.each(writes.filter(({ route }) => takesBody(route)))(
    '$title answers 400, 413 and 415 for bodies that are no JSON',
    async ({ route, path }) => {
      const url = urlOf(path, mine)
      const key = credentialOf(route)
      const answers = {
        400: await rest.call(route.method, url, { key, payload: '{"name":' }),
        413: await rest.call(route.method, url, {
          key,
          payload: JSON.stringify({ name: 'x'.repeat((route.maxBodyBytes ?? 2 * 1024 * 1024) + 1) }),
        }),
        415: await rest.call(route.method, url, {
          key,
          payload: 'name=x',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        }),
      }
      for (const [status, answer] of Object.entries(answers)) {
        expect(answer.status).toBe(Number(status))
        expect(textOf(answer.body)).toEqual(expect.any(String))
      }
    },
  )

  it.each(rows.filter(({ route }) => route.body))('$title answers 400 for a body that is no object', async ({ route, path }) => {
    for (const payload of ['[]', '"text"', '3', 'true']) {
      expect(await rest.call(route.method, urlOf(path, mine), { key: credentialOf(route), payload })).toMatchObject({ status: 400 })
    }
  })

  it.each(rows.filter(({ route }) => route.page))('$title refuses a page out of bounds', async ({ route, path }) => {
    const url = urlOf(path, mine)
    const names = Object.keys(dialect.page(null))
    for (const name of names) {
      for (const value of ['-1', 'abc', '1.5', '1e3', '', '99999999999999999999']) {
        const answer = await rest.call(route.method, `${url}?${name}=${value}`, { key: credentialOf(route, 'READ') })
        expect(refused, `${name}=${value}`).toContain(answer.status)
        expect(textOf(answer.body)).toContain(name)
      }
    }
  })

  it('an unknown path below the prefix answers 404 in the form of the dialect, with or without a key, for any body', async () => {
    for (const base of areas) {
      const bare = rows.some(({ path }) => prefix + path === base) ? [] : ['', '/']
      for (const path of [...bare, '/nope', '/projects/a/b/c/d', `/${'x'.repeat(2000)}`, '/%zz']) {
        for (const options of [{}, { key: rest.acme.key.ADMIN }]) {
          expect(textOf((await rest.call('GET', base + path, options)).body)).toBe('This path does not exist.')
          expect(await rest.call('POST', base + path, { ...options, payload: '{' })).toMatchObject({ status: 404 })
        }
      }
    }
  })

  it('a known path answers 405 with Allow for every other method, with or without a key, for any body', async () => {
    const every = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
    for (const { path } of rows) {
      const url = urlOf(path, mine)
      const isHere = (pattern: string) => new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)
      const owned = new Set<string>(rows.filter((row) => isHere(row.path)).map(({ route }) => route.method))
      const allowed = [...owned, ...(owned.has('GET') ? ['HEAD'] : []), 'OPTIONS'].sort()
      for (const method of every.filter((each) => !owned.has(each))) {
        for (const options of [{}, { key: rest.acme.key.ADMIN }, { payload: '{' }]) {
          const answer = await rest.call(method, url, options)
          expect(answer, `${method} ${path}`).toMatchObject({ status: 405, headers: { allow: allowed.join(', ') } })
          expect(textOf(answer.body)).toEqual(expect.any(String))
        }
      }
    }
    expect(await rest.call('POST', `${areas[0]}/openapi.json`)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, OPTIONS' } })
  })

  it('counts a request with a key for an unknown path, or with another method, as any other', async () => {
    const key = rest.acme.key.READ
    const counts = []
    for (const answer of [
      await rest.call('GET', `${areas[0]}/nope`, { key }),
      await rest.call('POST', `${areas[0]}/openapi.json`, { key }),
    ]) {
      expect(answer.headers).toMatchObject({ 'ratelimit-policy': expect.any(String), ratelimit: expect.stringMatching(/;r=\d+;/) })
      counts.push(Number(/;r=(\d+);/.exec(answer.headers.ratelimit!)![1]))
    }
    expect(counts[1]).toBeLessThan(counts[0]!)
  })

  it.each(writes.filter(({ route }) => takesBody(route)))(
    '$title refuses bytes that are no UTF-8, and other charsets',
    async ({ route, path }) => {
      const send = (payload: Buffer, type = 'application/json') =>
        rest.call(route.method, urlOf(path, mine), { key: credentialOf(route), payload, headers: { 'content-type': type } })
      const odd = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xe4, 0x62]), Buffer.from('"}')])
      const refused = await send(odd)
      expect(refused.status).toBe(400)
      expect(textOf(refused.body)).toContain('UTF-8')
      expect(await send(odd, 'application/json; charset=iso-8859-1')).toMatchObject({ status: 415 })
      expect((await send(Buffer.from('[]'), 'application/json; charset="UTF-8"')).status).not.toBe(415)
    },
  )

  it.each(reads)('$title answers 400 for a query string that is not UTF-8', async ({ route, path }) => {
    for (const query of ['x=%ff', 'x=%c3%28', 'x=%']) {
      const answer = await rest.call('GET', `${urlOf(path, mine)}?${query}`, { key: credentialOf(route, 'READ') })
      expect(answer.status).toBe(400)
      expect(textOf(answer.body)).toContain('UTF-8')
    }
  })

  it('OPTIONS answers 204 without a key, and lists the methods of a known path', async () => {
    for (const { route, path } of rows) {
      const answer = await rest.call('OPTIONS', urlOf(path, mine))
      expect(answer).toMatchObject({ status: 204, text: '' })
      expect(answer.headers.allow?.split(', ')).toEqual(expect.arrayContaining([route.method, 'OPTIONS']))
    }
    const nowhere = await rest.call('OPTIONS', `${areas[0]}/nope`)
    expect(nowhere).toMatchObject({ status: 204, text: '' })
    expect(nowhere.headers).not.toHaveProperty('allow')
  })

  it('the document and its page need no key, and the page loads nothing from another host', async () => {
    expect(await rest.call('GET', `${areas[0]}/openapi.json`)).toMatchObject({ status: 200, body: { openapi: '3.1.0' } })
    const page = await rest.call('GET', `${areas[0]}/docs`)
    expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
    const links = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!)
    expect(links.length).toBeGreaterThan(2)
    for (const link of links) expect((await rest.call('GET', link)).status, link).toBe(200)
  })

  it.each(rows.filter(({ route }) => route.query ?? route.body))(
    '$title refuses in words of its own, not in ours',
    async ({ route, path }) => {
      const { ours, fields } = words(dialect)
      const url = urlOf(path, mine)
      const told = new Set<string>()
      for (const query of nearly(route.query, junk.texts)) {
        const answer = await rest.call(route.method, `${url}?${new URLSearchParams(query)}`, { key: credentialOf(route) })
        if (answer.status >= 400) told.add(String(textOf(answer.body)))
      }
      for (const body of nearly(route.body, junk.values)) {
        const answer = await rest.call(route.method, url, { key: credentialOf(route), body: { ...bodies(mine)[route.id], ...body } })
        if (answer.status >= 400) told.add(String(textOf(answer.body)))
      }
      for (const text of told) {
        expect(text.match(/\w+/g)!.filter((word) => ours.has(word))).toEqual([])
        const [, field] = /^([\w.-]+): /.exec(text) ?? []
        if (field) expect({ text, known: fields.has(field.replaceAll(/\.\d+/g, '')) }).toEqual({ text, known: true })
      }
    },
  )

  const read = reads.find(({ route }) => !route.people)
  /** A dialect without such a row has a test of its own. */
  if (read)
    it('an unexpected error is masked, and logged with the request ID of the response', async () => {
      const { path } = read
      const { db } = rest.app
      rest.app.db = intercepting(db, (text, send) => {
        if (text.includes('api_key')) return send()
        throw new Error('the inner reason')
      })
      const url = urlOf(path, mine)
      const answer = await rest.server.inject({ method: 'GET', url, headers: { authorization: `Bearer ${rest.acme.key.READ}` } })
      rest.app.db = db
      expect(answer.statusCode).toBe(500)
      expect(answer.body).not.toContain('inner')
      const logged = rest.app.logged.find(({ requestId }) => requestId === answer.headers['x-request-id'])
      expect(logged).toMatchObject({ level: 50 })
      expect(JSON.stringify(logged)).toContain('the inner reason')
    })
}
