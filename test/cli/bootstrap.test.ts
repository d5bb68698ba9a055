/** A first start that is killed between its steps, and the next start. The child is blocked at a step by the database or the disk, then killed. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bootstrap, refreshBootstrap } from '../../src/cli/bootstrap.ts'
import '../../src/domain/apps/server/index.ts'
import { callerOfKey } from '../../src/domain/access/api-key/index.ts'
import { login } from '../../src/domain/access/session/index.ts'
import type { TestApp } from '../support/app.ts'
import { createWorld, type World } from '../support/tenant.ts'
import { until } from '../support/wait.ts'

const root = join(import.meta.dirname, '../..')
const graphqlUrl = 'http://127.0.0.1:4000/graphql'

let world: World
let app: TestApp
let dataDir: string
let locker: pg.Client
let child: ChildProcess | null
beforeEach(async () => {
  world = await createWorld()
  dataDir = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  app = await world.process({ DATA_DIR: dataDir })
  locker = new pg.Client({ connectionString: world.url })
  await locker.connect()
  child = null
})
afterEach(async () => {
  child?.kill('SIGKILL')
  await locker.end()
  await world.close()
  await rm(dataDir, { recursive: true })
})

/** Runs `bootstrap` in a child process. */
function startElsewhere(): ChildProcess {
  const script = `
    import { bootstrap } from ${JSON.stringify(join(root, 'src/cli/bootstrap.ts'))}
    import ${JSON.stringify(join(root, 'src/domain/apps/server/index.ts'))}
    import { createTestApp } from ${JSON.stringify(join(root, 'test/support/app.ts'))}
    const app = await createTestApp(${JSON.stringify(world.url)}, { DATA_DIR: ${JSON.stringify(dataDir)} })
    await bootstrap(app, ${JSON.stringify(graphqlUrl)})
    console.log('done')
    process.exit()`
  child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  return child
}

async function kill(): Promise<void> {
  const gone = once(child!, 'close')
  child!.kill('SIGKILL')
  await gone
}

/** Number of sessions that wait for a lock. */
const waiting = async () =>
  (
    await locker.query(
      'select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())',
    )
  ).rows.length

/** The session of a killed process is rolled back once it gets its lock and notices that its client is gone. */
async function release(): Promise<void> {
  await locker.query('rollback')
  await until('no session waits', async () => (await waiting()) === 0)
}
const count = async (table: string, where = 'true') => (await locker.query(`select 1 from ${table} where ${where}`)).rows.length

/** What every start must lead to: one organization, one valid key, which the file contains, and no leftovers. */
async function expectFinished(): Promise<string> {
  const { apiKey, ownerEmail, ownerPassword } = JSON.parse(await readFile(join(dataDir, 'bootstrap.json'), 'utf8'))
  expect((await stat(join(dataDir, 'bootstrap.json'))).mode & 0o777).toBe(0o600)
  expect(await callerOfKey(app, apiKey)).not.toBeNull()
  expect(await login(app, { email: ownerEmail, password: ownerPassword }, 'test')).toMatchObject({ user: { email: ownerEmail } })
  expect(await count('organization')).toBe(1)
  expect(await count('api_key', 'revoked_at is null')).toBe(1)
  expect((await readdir(dataDir)).filter((name) => name.startsWith('bootstrap')).sort()).toEqual(['bootstrap.json', 'bootstrap.lock'])
  return apiKey
}

describe('a first start that is killed', () => {
  it.each(['organization', 'api_key'])('while it waits to write its %s is finished by the next one', async (table) => {
    await locker.query(`begin; lock table ${table} in share mode`)
    startElsewhere()
    await until('it is at that step', async () => (await waiting()) > 0)
    await kill()
    await release()
    expect(await bootstrap(app, graphqlUrl)).toMatchObject({ graphqlUrl })
    await expectFinished()
  })

  it('when the key is made and the file is not, is finished with another key, and the untold one is revoked', async () => {
    execFileSync('mkfifo', [join(dataDir, 'bootstrap.json.new')])
    startElsewhere()
    await until('the key is made', () => count('api_key'))
    await kill()
    await rm(join(dataDir, 'bootstrap.json.new'))
    await bootstrap(app, graphqlUrl)
    await expectFinished()
    expect(await count('api_key', 'revoked_at is not null')).toBe(1)
  })

  it('when only its marker was left to remove, keeps the key that the file tells', async () => {
    const told = (await bootstrap(app, graphqlUrl))!.apiKey
    const [{ id }] = (await locker.query('select id from organization')).rows
    await writeFile(join(dataDir, 'bootstrap.unfinished'), id)
    expect(await bootstrap(app, graphqlUrl)).toBeNull()
    expect(await expectFinished()).toBe(told)
  })
})

describe('a later start', () => {
  it('makes no key, also when the file was removed on purpose', async () => {
    await bootstrap(app, graphqlUrl)
    expect(await bootstrap(app, graphqlUrl)).toBeNull()
    await rm(join(dataDir, 'bootstrap.json'))
    expect(await bootstrap(app, graphqlUrl)).toBeNull()
    expect(await refreshBootstrap(dataDir, graphqlUrl)).toBe(false)
    expect(await count('api_key')).toBe(1)
  })

  it('keeps the address in the file true', async () => {
    const made = await bootstrap(app, graphqlUrl)
    expect(await refreshBootstrap(dataDir, 'http://127.0.0.1:5000/graphql')).toBe(true)
    expect(JSON.parse(await readFile(join(dataDir, 'bootstrap.json'), 'utf8'))).toEqual({
      ...made,
      graphqlUrl: 'http://127.0.0.1:5000/graphql',
    })
  })

  it('makes the key of an organization that an earlier program left without one', async () => {
    await locker.query('begin; lock table api_key in share mode')
    startElsewhere()
    await until('it is at the key', async () => (await waiting()) > 0)
    await kill()
    await release()
    await rm(join(dataDir, 'bootstrap.unfinished'))
    await locker.query(`update organization set created_at = created_at - interval '2 minutes'`)
    await bootstrap(app, graphqlUrl)
    await expectFinished()
  })
})

it('two first starts at once make one key', async () => {
  const other = await world.process({ DATA_DIR: dataDir })
  const made = await Promise.all([bootstrap(app, graphqlUrl), bootstrap(other, graphqlUrl)])
  expect(made.filter((first) => first !== null)).toHaveLength(1)
  await expectFinished()
})

it('an installation whose database is new gets a key, although its folder tells one of another database', async () => {
  await writeFile(join(dataDir, 'bootstrap.json'), JSON.stringify({ apiKey: 'ak_live_of_another', organizationSlug: 'x', graphqlUrl }))
  await bootstrap(app, graphqlUrl)
  await expectFinished()
})
