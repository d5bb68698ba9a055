/** The server is killed in each phase of a creation, a backup, its verification, a restore and a deletion. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { bucketName, type Fault, type StorageRequest, startObjectStorage } from '../support/object-storage.ts'
import { acceptance, type Data, until } from './support.ts'

const storage = await startObjectStorage()
const world = acceptance({
  BACKUP_S3_ENDPOINT: storage.endpoint,
  BACKUP_S3_BUCKET: bucketName,
  BACKUP_S3_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  BACKUP_S3_SECRET_ACCESS_KEY: 'secret-of-the-bucket',
})
let environmentId: string
let kept: string
/** The verified backup of `kept`. */
let backup: string
/** All databases that are to exist. */
const databases: string[] = []

beforeAll(async () => {
  const { projects } = await world.server.gql('{ projects { nodes { environments { nodes { id } } } } }')
  environmentId = projects.nodes[0].environments.nodes[0].id
  kept = await createDatabase('Kept')
  await running(kept)
  await query(await urlOf(kept), 'create table kept as select n from generate_series(1, 1000) n')
  backup = await createBackup()
  await verified(backup)
})
beforeEach(() => {
  storage.fault = () => null
})
afterAll(() => storage.close())

async function createDatabase(name: string): Promise<string> {
  const { id } = (await world.mutate('createDatabase', { environmentId, name }, 'database { id }')).database
  databases.push(id)
  return id
}
const createBackup = async (): Promise<string> => (await world.mutate('createBackup', { databaseId: kept }, 'backup { id }')).backup.id
async function restoreBackup(id: string): Promise<Data> {
  const restoring = await world.mutate('restoreBackup', { backupId: id }, 'database { id } operation { id }')
  databases.push(restoring.database.id)
  return restoring
}
const read = async (kind: 'database' | 'backup' | 'operation', id: string, fields: string): Promise<Data | null> =>
  (await world.server.gql(`query ($id: ID!) { ${kind}(id: $id) { ${fields} } }`, { id }))[kind]
const urlOf = async (id: string): Promise<string> => (await world.mutate('revealDatabase', { id }, 'url')).url

const running = (id: string) => until('the database runs', async () => (await read('database', id, 'status'))?.status === 'RUNNING')
const verified = (id: string) =>
  until('the backup is verified', async () => {
    const now = await read('backup', id, 'status error')
    if (now?.status === 'FAILED') throw new Error(`the backup failed: ${now.error}`)
    return now?.status === 'VERIFIED'
  })
async function restored({ database, operation }: Data): Promise<void> {
  const ended = await until('the restore has ended', async () => {
    const now = await read('operation', operation.id, 'status error')
    return ['COMPLETED', 'FAILED'].includes(now?.status) && now
  })
  expect(ended).toEqual({ status: 'COMPLETED', error: null })
  expect(await query(await urlOf(database.id), 'select count(*)::int as n from kept')).toEqual([{ n: 1000 }])
}

async function query(url: string, text: string): Promise<Data[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** The UUID in a TypeID. */
function uuidFrom(id: string): string {
  const digits = '0123456789abcdefghjkmnpqrstvwxyz'
  const value = [...id.split('_')[1]!].reduce((sum, digit) => sum * 32n + BigInt(digits.indexOf(digit)), 0n)
  return value
    .toString(16)
    .padStart(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

type Found = { pid: number; words: string[]; folder: string }

/** Processes that work in this installation's folders: PostgreSQL, and children that take and restore backups. */
async function processes(): Promise<Found[]> {
  const found: Found[] = []
  for (const name of (await readdir('/proc')).filter((one) => /^\d+$/.test(one))) {
    const folder = await readlink(`/proc/${name}/cwd`).catch(() => '')
    const words = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0')
    const isOurs = [folder, ...words].some((text) => text.startsWith(world.server.dataDir))
    if (isOurs) found.push({ pid: Number(name), words, folder })
  }
  return found
}

/** Stops the first process that matches, as soon as there is one, so that its phase cannot end. */
async function freeze(what: string, matches: (found: Found) => boolean): Promise<number> {
  const { pid } = await until(what, async () => {
    const found = (await processes()).find(matches)
    if (found) process.kill(found.pid, 'SIGSTOP')
    return found
  })
  return pid
}

const isServerOf = (path: string) => (found: Found) => found.folder.startsWith(join(world.server.dataDir, path)) && found.words[1] === '-D'
const copies = () => readdir(join(world.server.dataDir, 'restores')).catch(() => [])

/** Kills the server, lets everything go on that was held, and starts it again. */
async function crash(frozen: number[] = []): Promise<void> {
  await world.server.kill('SIGKILL')
  storage.fault = () => null
  for (const pid of frozen) process.kill(pid, 'SIGCONT')
  await world.server.start()
}

const isOf = (id: string) => (request: StorageRequest) => request.key.includes(uuidFrom(id))
const isPart = ({ query: asked }: StorageRequest) => asked.has('partNumber')
const isDownload = ({ method, query: asked }: StorageRequest) => method === 'GET' && !asked.has('uploads')

/** Holds the n-th request that matches, and resolves when it has arrived. */
function hold(what: string, fault: Fault, matches: (request: StorageRequest) => boolean, number = 1): Promise<unknown> {
  const others = storage.fault
  let seen = 0
  storage.fault = (request) => (matches(request) && ++seen >= number ? fault : others(request))
  return until(what, () => seen >= number)
}

/** Nothing is left of what was interrupted: in the bucket, in the folder of copies, and among the processes. */
async function expectNothingLeft(): Promise<void> {
  await until('what is surplus is gone', async () => (await copies()).length === 0 && storage.objects.size === 1)
  expect([...storage.objects.keys()]).toEqual([expect.stringContaining(uuidFrom(backup))])
  expect(storage.uploads.size).toBe(0)
  expect(await copies()).toEqual([])
  expect((await readdir(join(world.server.dataDir, 'databases'))).sort()).toEqual(databases.map(uuidFrom).sort())
  const servers = (await processes()).filter(({ words }) => words[1] === '-D').map(({ folder }) => folder)
  const expected = databases.map((id) => join(world.server.dataDir, 'databases', uuidFrom(id), 'data'))
  expect(servers.filter((folder) => folder.includes('/databases/') || folder.includes('/restores/')).sort()).toEqual(expected.sort())
}

/** Deletes the former backup, so that one is left. */
async function replaceBackup(id: string): Promise<void> {
  await verified(id)
  await world.mutate('deleteBackup', { id: backup }, 'deletedId')
  backup = id
}

it('while a database is created, a backup is taken and a deleted backup is removed', async () => {
  const part = hold('a part of the backup is being sent', 'stall', isPart)
  const removal = hold('the archive is being removed', 'stall', ({ method, key }) => method === 'DELETE' && key.includes(uuidFrom(backup)))
  const taken = await createBackup()
  await part
  await world.mutate('deleteBackup', { id: backup }, 'deletedId')
  await removal
  const created = await createDatabase('Created')
  const draft = join(world.server.dataDir, 'databases', uuidFrom(created), 'new')
  const initdb = await freeze('initdb runs', ({ words }) => words.includes(draft))
  expect(await read('backup', taken, 'status')).toEqual({ status: 'RUNNING' })
  expect(await read('database', created, 'status')).toEqual({ status: 'CREATING' })
  await crash([initdb])
  backup = taken
  await verified(backup)
  await running(created)
  expect(await query(await urlOf(created), 'select 1 as one')).toEqual([{ one: 1 }])
  await expectNothingLeft()
})

it('while an archive is downloaded, to verify and to restore it', async () => {
  const checked = hold('the archive is being checked', 'stall', (request) => isDownload(request) && !isOf(backup)(request))
  const unverified = await createBackup()
  await checked
  // The command and the operation check it, then it is extracted.
  const extracted = hold('the archive is being extracted', 'stall', (request) => isDownload(request) && isOf(backup)(request), 3)
  const restoring = await restoreBackup(backup)
  await extracted
  expect(await copies()).toContainEqual(expect.stringContaining(uuidFrom(restoring.database.id)))
  expect(await read('backup', unverified, 'status')).toEqual({ status: 'STORED' })
  await crash()
  await restored(restoring)
  await replaceBackup(unverified)
  await expectNothingLeft()
})

it('while the servers of copies run, to verify and to restore them', async () => {
  const unverified = await createBackup()
  const verifying = await freeze('the copy to verify runs', isServerOf(`restores/${uuidFrom(unverified)}`))
  const restoring = await restoreBackup(backup)
  const recovering = await freeze('the copy to restore runs', isServerOf(`restores/${uuidFrom(restoring.database.id)}`))
  expect(await read('backup', unverified, 'status')).toEqual({ status: 'STORED' })
  expect(await read('database', restoring.database.id, 'status')).toEqual({ status: 'CREATING' })
  await crash([verifying, recovering])
  await restored(restoring)
  await replaceBackup(unverified)
  await expectNothingLeft()
})

it('after an archive was stored but not recorded, and while a database is deleted', async () => {
  const deleted = databases.pop()!
  const isCompletion = ({ method, query: asked }: StorageRequest) => method === 'POST' && asked.has('uploadId')
  const completed = hold('the archive is complete', 'late', isCompletion)
  const stored = await createBackup()
  await completed
  await until('the archive is in the bucket', () => storage.objects.size === 2)
  const stopping = await freeze('the database runs', isServerOf(`databases/${uuidFrom(deleted)}`))
  await world.mutate('deleteDatabase', { id: deleted }, 'deletedId')
  await until('its server is being stopped', async () => (await read('database', deleted, 'status'))?.status !== 'RUNNING')
  expect(await read('backup', stored, 'status')).toEqual({ status: 'RUNNING' })
  await crash([stopping])
  await replaceBackup(stored)
  await until('the database is deleted', async () => (await read('database', deleted, 'id')) === null)
  await expectNothingLeft()
})
