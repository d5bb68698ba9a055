import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTenant, createWorld, type World } from '../support/tenant.ts'

const root = dirname(dirname(import.meta.dirname))

let world: World
beforeAll(async () => {
  world = await createWorld()
  await createTenant(world.app)
})
afterAll(() => world?.close())

type Ended = { code: number; stdout: string; stderr: string }

const key = (...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const env = {
      PATH: process.env.PATH,
      DATABASE_URL: world.url,
      DATA_DIR: world.app.settings.DATA_DIR,
      MASTER_KEYS: world.app.settings.MASTER_KEYS!.reveal(),
    }
    execFile(process.execPath, [join(root, 'src/cli/key.ts'), ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
const names = async () => (await (await world.app.db.prismaClient()).apiKey.findMany({ orderBy: { id: 'asc' } })).map(({ name }) => name)

it('creates a key with the given name or a default one, and prints it once', async () => {
  const named = await key('laptop')
  expect(named).toMatchObject({ code: 0, stdout: expect.stringMatching(/^API key \S+\n$/) })
  expect((await key()).code).toBe(0)
  expect(await names()).toEqual(['laptop', 'created by npm run key'])
})

it('prints its usage with --help, and creates nothing', async () => {
  const before = await names()
  for (const flag of ['--help', '-h']) {
    expect(await key(flag)).toMatchObject({ code: 0, stdout: expect.stringContaining('npm run key'), stderr: '' })
  }
  expect(await names()).toEqual(before)
})

it.each([[['--name', 'laptop']], [['-x']], [['one', 'two']], [['']]])('refuses %j with exit code 2, and creates nothing', async (args) => {
  const before = await names()
  expect(await key(...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('npm run key') })
  expect(await names()).toEqual(before)
})
