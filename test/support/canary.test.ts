/** The canary itself: it finds a planted leak, wherever it is. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createProject } from '../../src/domain/apps/project/index.ts'
import { createSecret } from '../../src/domain/configuration/secret/index.ts'
import { execute } from '../../src/platform/command.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { Canary } from './canary.ts'
import { createTenant, createWorld, request, type World } from './tenant.ts'

const secret = 'pa$$ "wörd" +/1234567890abcdef'

const forms: [string, string][] = [
  ['plain', secret],
  ['JSON', JSON.stringify(secret)],
  ['JSON within JSON', JSON.stringify(JSON.stringify(secret))],
  ['URL', encodeURIComponent(secret)],
  ['hex', Buffer.from(secret).toString('hex')],
  ['upper-case hex', Buffer.from(secret).toString('hex').toUpperCase()],
  ['base64', Buffer.from(secret).toString('base64')],
  ['base64 after one byte', Buffer.from(`x${secret}y`).toString('base64')],
  ['base64 after two bytes', Buffer.from(`xy${secret}z`).toString('base64')],
  ['URL-safe base64', Buffer.from(secret).toString('base64url')],
]

describe('the canary', () => {
  it.each(forms)('finds a value in its %s form, and names the place', (_form, text) => {
    const canary = new Canary()
    canary.add(secret)
    expect(canary.search('a place', `before ${text} after`)[0]).toMatchObject({ place: 'a place', value: secret })
    expect(canary.search('a place', 'before and after')).toEqual([])
  })

  it('finds API keys and signing secrets that were not registered', () => {
    const canary = new Canary()
    expect(canary.search('x', `key ak_live_${'a1'.repeat(25)}b!`)).toHaveLength(1)
    expect(canary.search('x', `whsec_${Buffer.alloc(24, 7).toString('base64')}`)).toHaveLength(1)
    expect(canary.search('x', 'ak_live_abcd whsec_ whpk_')).toEqual([])
  })

  it('registers the secret variables of an operation', () => {
    const canary = new Canary()
    canary.addVariables('mutation { setEnvVars }', { variables: [{ value: 'a plain value' }, { value: 'a secret value', isSecret: true }] })
    canary.addVariables('mutation { createSecret }', { input: { value: 'a project secret' } })
    canary.addVariables('mutation { createWebService }', { input: { repositoryUrl: 'https://user:deploy%2Btoken@host/x' } })
    const text = 'a plain value, a secret value, a project secret, deploy+token'
    expect(canary.search('x', text).map(({ value }) => value)).toEqual(['a secret value', 'a project secret', 'deploy+token'])
  })

  it('reads every file except the spared ones', async ({ onTestFinished }) => {
    const folder = await mkdtemp(join(tmpdir(), 'quayside-canary-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'spared'), secret)
    await writeFile(join(folder, 'found'), secret)
    const canary = new Canary()
    canary.add(secret)
    expect(new Set((await canary.searchFiles(folder, (path) => path === 'spared')).map(({ place }) => place))).toEqual(new Set(['found']))
  })
})

describe('closing a test world fails', () => {
  const withSecret = async (): Promise<{ world: World; projectId: string }> => {
    const world = await createWorld()
    const { owner } = await createTenant(world.app)
    const asked = request(world.app, owner)
    const { project } = await execute(asked, createProject, { name: 'Shop' })
    await execute(asked, createSecret, { projectId: project.id, key: 'TOKEN', scope: 'PRODUCTION', value: secret })
    return { world, projectId: project.id }
  }

  it('if a row contains a sealed value in plaintext', async () => {
    const { world, projectId } = await withSecret()
    await run(world.app.db, sql`update project set name = ${`leaks ${secret}`} where id = ${projectId}::uuid`)
    await expect(world.close()).rejects.toThrow(/public\.project holds/)
  })

  it('if the log contains a sealed value', async () => {
    const { world } = await withSecret()
    world.app.log.info({ leaked: secret }, 'a mistake')
    await expect(world.close()).rejects.toThrow(/the program's log holds/)
  })

  it('if an event does not match its published schema', async () => {
    const { world } = await withSecret()
    await run(world.app.db, sql`update event set data = '{"name":1}' where type = 'project.created'`)
    await expect(world.close()).rejects.toThrow(/project\.created\.v1 \{"name":1\} does not fit/)
  })

  it('only in these cases', async () => {
    const { world } = await withSecret()
    await world.close()
  })
})
