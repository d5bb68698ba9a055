/** The stand-in for an Odoo server behaves as shared facts of real servers say. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openConnection } from '../../../src/platform/db/connection.ts'
import { freePorts } from '../../drivers/process-support.ts'
import { createEmptyDatabase, type TestDatabase } from '../database.ts'
import { createRepository, type GitRepository } from '../git-repository.ts'
import { type MailServer, openMailServer } from '../mail-server.ts'
import { until } from '../wait.ts'
import { type Addon, addonFiles, createOdooSource } from './index.ts'

let source: GitRepository
let addons: GitRepository
let database: TestDatabase
let mail: MailServer
let running: ChildProcess | undefined
let httpPort: number
let eventedPort: number

beforeAll(async () => {
  ;[source, addons, database, mail] = await Promise.all([createOdooSource(), createRepository(), createEmptyDatabase(), openMailServer()])
  const { first } = await freePorts(2)
  httpPort = first
  eventedPort = first + 1
  const url = new URL(database.url)
  const conf = {
    ...{ db_host: url.searchParams.get('host'), db_user: url.username, db_name: url.pathname.slice(1), addons_path: addons.path },
    ...{ data_dir: join(addons.path, 'data'), http_interface: '127.0.0.1', http_port: httpPort, gevent_port: eventedPort, workers: 2 },
  }
  const lines = Object.entries(conf).map(([name, value]) => `${name} = ${value}\n`)
  await mkdir(conf.data_dir)
  await writeFile(join(addons.path, 'odoo.conf'), `[options]\nlist_db = False\n${lines.join('')}`)
})
afterAll(async () => {
  running?.kill('SIGKILL')
  await database?.drop()
  await Promise.all([source?.close(), addons?.close(), mail?.close()])
})

const start = (args: string[]) => {
  const env = { PATH: process.env.PATH, STAND_IN_STOP_MS: '10' }
  return spawn(join(source.path, 'odoo-bin'), args, { stdio: ['ignore', 'ignore', 'pipe'], env })
}
const ending = async (child: ChildProcess) => {
  const [log, [code]] = await Promise.all([text(child.stderr!), once(child, 'exit')])
  return { code, log }
}
const odoo = (...args: string[]) => ending(start([...args, '-c', join(addons.path, 'odoo.conf')]))
const change = (...args: string[]) => odoo(...args, '--stop-after-init', '--no-http', '--workers', '0')
const put = (addon: Addon) => addons.commit(addonFiles('library', addon), 'library')
const sql = async (statement: string) => {
  const session = await openConnection(database.url)
  try {
    return await session.rows<Record<string, unknown>>(statement)
  } finally {
    await session.close()
  }
}

const ask = (port: number, path: string, body?: unknown) =>
  new Promise<{ status: number; body: string }>((resolve, reject) => {
    const headers = body === undefined ? { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'AAAA' } : {}
    const sent = request({ port, path, method: body ? 'POST' : 'GET', headers: path === '/websocket' ? headers : {} })
    sent.on('upgrade', (_, socket) => {
      socket.destroy()
      resolve({ status: 101, body: '' })
    })
    sent.on('response', async (response) => resolve({ status: response.statusCode!, body: await text(response) }))
    sent.on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
const rpc = async (service: string, method: string, args: unknown[]) =>
  JSON.parse((await ask(httpPort, '/jsonrpc', { id: 1, params: { service, method, args } })).body)

const serve = async () => {
  const child = start(['-c', join(addons.path, 'odoo.conf')])
  running = child
  const ended = ending(child)
  await until('the server answers', () => ask(httpPort, '/web/health').catch(() => null))
  return async () => {
    child.kill('SIGTERM')
    return ended
  }
}

it('installs modules into an empty database, and updates them', async () => {
  await put({ version: '1.0' })
  const made = await change('-i', 'base,library')
  expect(made).toMatchObject({ code: 0 })
  expect(made.log).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \d+ INFO test_\w+ odoo\.modules\.loading: 4 modules loaded$/m)
  const versions = 'select name, latest_version as version from ir_module_module order by name'
  expect(await sql(versions)).toContainEqual({ name: 'library', version: '17.0.1.0' })
  const [{ name }] = (await sql('select store_fname as name from ir_attachment')) as [{ name: string }]
  expect(await readdir(join(addons.path, 'data', 'filestore', database.url.match(/test_\w+/)![0], name.slice(0, 2)))).toHaveLength(1)

  await put({ version: '2.0', userFields: ['badge'], migration: { logsError: 'no badge' } })
  const updated = await change('-u', 'library')
  expect(updated).toMatchObject({ code: 0, log: expect.stringMatching(/ ERROR test_\w+ odoo\.addons\.library: no badge\n/) })
  expect(await sql(versions)).toContainEqual({ name: 'library', version: '17.0.2.0' })
})

it('serves two ports, runs scheduled actions and sends mail until it is neutralised', async () => {
  await sql(`insert into ir_mail_server (name, smtp_host, smtp_port) values ('out', '127.0.0.1', ${mail.port})`)
  await sql("insert into mail_mail (email_to, subject) values ('bob@example.com', 'Hello')")
  const stop = await serve()
  await until('the evented port is open', () => ask(eventedPort, '/websocket').catch(() => null))
  expect((await ask(eventedPort, '/websocket')).status).toBe(101)
  expect((await ask(httpPort, '/websocket')).status).toBe(500)
  for (const path of ['/web/health', '/web/login', '/web/database/manager']) expect((await ask(httpPort, path)).status).toBe(200)
  const [{ name }] = (await sql('select current_database() as name')) as [{ name: string }]
  expect(await rpc('common', 'authenticate', [name, 'admin', 'wrong', {}])).toMatchObject({ result: false })
  const { result: uid } = await rpc('common', 'authenticate', [name, 'admin', 'admin', {}])
  const call = (model: string, method: string, ...args: unknown[]) => rpc('object', 'execute_kw', [name, uid, 'admin', model, method, args])
  const { result: id } = await call('ir.attachment', 'create', { name: 'a.txt', datas: btoa('hello') })
  expect((await call('ir.attachment', 'read', [id], ['name', 'datas'])).result).toEqual([{ id, name: 'a.txt', datas: btoa('hello') }])
  expect((await call('no.model', 'read', [1])).error.data.name).toBe('odoo.exceptions.UserError')
  expect((await mail.receive(1))[0]).toMatchObject({ to: ['bob@example.com'], raw: expect.stringContaining('Subject: Hello') })
  expect(await stop()).toMatchObject({ code: 0 })

  expect(await odoo('neutralize')).toMatchObject({ code: 0 })
  await sql("insert into mail_mail (email_to, subject) values ('bob@example.com', 'Again')")
  await sql('update ir_cron set lastcall = null')
  const stopAgain = await serve()
  await until('a scheduled action ran', async () => (await sql('select 1 from ir_cron where lastcall is not null')).length > 0)
  await stopAgain()
  expect(await sql("select state from mail_mail where subject = 'Again'")).toEqual([{ state: 'outgoing' }])
  expect(mail.received).toHaveLength(1)
})

it('lets nobody in with new code before the update', async () => {
  await put({ version: '3.0', userFields: ['badge', 'nickname'] })
  const stop = await serve()
  expect((await ask(httpPort, '/web/health')).status).toBe(200)
  expect((await ask(httpPort, '/web/login')).status).toBe(500)
  await stop()
})

it('fails an update that raises, and keeps what was updated before it', async () => {
  await put({ version: '3.0', userFields: ['nickname'], migration: { raises: 'no such shelf' } })
  const failed = await change('-u', 'all')
  expect(failed).toMatchObject({ code: 255, log: expect.stringMatching(/ CRITICAL .*Failed to initialize database/) })
  expect(failed.log).toContain('no such shelf')
  expect(await sql("select state from ir_module_module where name in ('base', 'library') order by name")).toEqual([
    { state: 'installed' },
    { state: 'to upgrade' },
  ])
})

it('refuses a wrong command line or configuration', async () => {
  expect(await odoo('--fast')).toMatchObject({ code: 2, log: expect.stringContaining('no such option: --fast') })
  expect(await odoo('--workers', 'many')).toMatchObject({ code: 2 })
  expect(await ending(start(['-c', '/nowhere/odoo.conf']))).toMatchObject({ code: 2 })
  await addons.commit({ 'bad.conf': '[options]\naddons_path = /nowhere\n' }, 'bad')
  expect(await ending(start(['-c', join(addons.path, 'bad.conf')]))).toMatchObject({ code: 2 })
})
