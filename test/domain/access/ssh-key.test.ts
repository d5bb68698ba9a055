import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import sshpk from 'sshpk'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { addSshKey, deleteSshKey, generateSshKey, openDeployKey } from '../../../src/domain/access/ssh-key/index.ts'
import { createWebService, updateWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService, sourcePort } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import type { RepositoryRef, Source } from '../../../src/domain/deploys/deployment/ports.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { PortError } from '../../../src/platform/errors.ts'
import { encodeId, newId, nilId } from '../../../src/platform/id.ts'
import { rotateDataKeys } from '../../../src/platform/reseal.ts'
import { codeOf, createTenant, createWorld, operation, refusal, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const as = (caller: Caller = tenant.owner) => request(world.app, caller)
const add = async (input: CommandInput, caller = tenant.owner) =>
  (await execute(as(caller), addSshKey, { label: 'laptop', ...input })).sshKey
const generate = async (caller = tenant.owner) => (await execute(as(caller), generateSshKey, { label: 'deploy' })).sshKey

type KeyType = 'ed25519' | 'ec' | 'rsa'
const keyOf = (type: KeyType = 'ed25519', options: object = {}) => {
  const { privateKey } = generateKeyPairSync(type as 'ec', { namedCurve: 'P-256', ...options })
  return sshpk.parsePrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' }), 'pem')
}
const secretsOf = (file: string) => {
  const { parts } = sshpk.parsePrivateKey(file, 'ssh-private') as unknown as { parts: { name: string; data: Buffer }[] }
  return Object.fromEntries(parts.map(({ name, data }) => [name, data.toString('hex')]))
}
const lineOf = (key: sshpk.PrivateKey) => key.toPublic().toString('ssh').split(' ', 2).join(' ')

describe('a public key', () => {
  it.each([
    ['ssh-ed25519', 'ed25519', {}],
    ['ecdsa-sha2-nistp256', 'ec', {}],
    ['ecdsa-sha2-nistp521', 'ec', { namedCurve: 'P-521' }],
    ['ssh-rsa', 'rsa', { modulusLength: 2048 }],
  ] as const)('of type %s is stored without its comment, with the fingerprint that ssh-keygen prints', async (keyType, type, options) => {
    const line = lineOf(keyOf(type, options))
    const key = await add({ publicKey: `  ${line} ada@laptop\n` })
    const printed = spawnSync('ssh-keygen', ['-lf', '-'], { input: `${line}\n`, encoding: 'utf8' }).stdout.split(' ')[1]
    expect(key).toMatchObject({ label: 'laptop', keyType, publicKey: line, fingerprint: printed, hasPrivateKey: false, lastUsedAt: null })
  })

  const ed25519 = lineOf(keyOf())
  const bytes = Buffer.from(ed25519.split(' ')[1]!, 'base64')
  const point = Buffer.from(lineOf(keyOf('ec')).split(' ')[1]!, 'base64')
  point[point.length - 1]! ^= 1
  it.each([
    ['nothing', ''],
    ['two lines', `${ed25519}\n${ed25519}`],
    ['options before it', `command="id" ${ed25519}`],
    ['another algorithm than its name says', ed25519.replace('ssh-ed25519', 'ssh-rsa')],
    ['an algorithm that is not accepted', 'ssh-dss AAAAB3NzaC1kc3MAAACBAP'],
    ['a certificate', ed25519.replace('ssh-ed25519', 'ssh-ed25519-cert-v01@openssh.com')],
    ['a byte missing', `ssh-ed25519 ${bytes.subarray(0, -1).toString('base64')}`],
    ['a byte too many', `ssh-ed25519 ${Buffer.concat([bytes, Buffer.of(0)]).toString('base64')}`],
    ['a point that is not on its curve', `ecdsa-sha2-nistp256 ${point.toString('base64')}`],
    ['too few bits', lineOf(keyOf('rsa', { modulusLength: 1024 }))],
    ['a private key in its place', keyOf().toString('ssh-private')],
    ['too many characters', `ssh-ed25519 ${'A'.repeat(20_000)}`],
  ])('with %s is refused', async (_what, publicKey) => {
    expect(await refusal(add({ publicKey }))).toMatchObject({ code: 'invalid_input', field: 'publicKey' })
  })

  it('can be added once by each user', async () => {
    const publicKey = lineOf(keyOf())
    const other = await createTenant(world.app)
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => codeOf(add({ publicKey }))))
    expect(outcomes.toSorted()).toEqual(['done', ...Array(4).fill('ssh_key_taken')])
    expect((await add({ publicKey }, other.owner)).publicKey).toBe(publicKey)
  })

  it('is refused when the user has 100', async () => {
    const { owner } = await createTenant(world.app)
    const { id } = await generate(owner)
    await run(
      world.app.db,
      sql`insert into ssh_key (id, user_id, label, key_type, public_key, fingerprint)
          select gen_random_uuid(), user_id, label, key_type, public_key, n::text from ssh_key, generate_series(2, 100) n where id = ${id}::uuid`,
    )
    expect(await codeOf(generate(owner))).toBe('too_many_ssh_keys')
  })
})

describe('a private key', () => {
  const key = keyOf()
  const other = keyOf()
  it.each([
    ['Ed25519 in OpenSSH format', keyOf(), 'ssh-private'],
    ['ECDSA in OpenSSH format', keyOf('ec'), 'ssh-private'],
    ['ECDSA in PKCS#8', keyOf('ec', { namedCurve: 'P-521' }), 'pkcs8'],
    ['RSA in OpenSSH format', keyOf('rsa', { modulusLength: 2048 }), 'ssh-private'],
    ['RSA in PKCS#1', keyOf('rsa', { modulusLength: 2048 }), 'pkcs1'],
  ] as const)('is accepted as %s, sealed, and never returned', async (_name, one, format) => {
    const print = (key: sshpk.PrivateKey) => key.toString(format)
    const added = await add({ publicKey: lineOf(one), privateKey: print(one), idempotencyKey: newId() })
    expect(added).toMatchObject({ hasPrivateKey: true })
    expect(added).not.toHaveProperty('privateKey')
    const opened = await openDeployKey(world.app, tenant.organizationId, added.id)
    const script = 'f=$(mktemp); cat > "$f"; ssh-keygen -y -f "$f"; rm "$f"'
    const printed = spawnSync('/bin/sh', ['-c', script], { input: opened!, encoding: 'utf8' }).stdout
    expect(printed.split(' ', 2).join(' ').trim()).toBe(lineOf(one))
    expect(secretsOf(opened!)).toEqual(secretsOf(one.toString('ssh-private')))
  })

  const seedOf = (one: sshpk.PrivateKey) => (one as unknown as { part: { k: { data: Buffer } } }).part.k.data
  /** The file of `key`, with the private part of another one. */
  const forged = () => {
    const [mine, theirs] = [key, other].map((one) => Buffer.from(one.toString('ssh-private').replaceAll(/-.*-|\n/g, ''), 'base64'))
    const seed = seedOf(other)
    const at = mine!.lastIndexOf(seedOf(key))
    expect(theirs!.includes(seed)).toBe(true)
    seed.copy(mine!, at)
    return `-----BEGIN OPENSSH PRIVATE KEY-----\n${mine!.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`
  }

  it.each([
    ['of another key', () => other.toString('ssh-private'), 'is not the private key of publicKey'],
    ['whose file names the right public key only', forged, 'private key'],
    ['with a passphrase', () => withPassphrase(), 'must not be protected by a passphrase'],
    ['that is none', () => 'secret', 'is not a valid private key'],
    ['that is a public one', () => lineOf(key), 'is not a valid private key'],
  ])('%s is refused', async (_what, text, message) => {
    expect(await refusal(add({ publicKey: lineOf(key), privateKey: text() }))).toMatchObject({
      code: 'invalid_input',
      field: 'privateKey',
      message: expect.stringContaining(message),
    })
  })

  const withPassphrase = () => {
    const script = 'f=$(mktemp -u); ssh-keygen -q -t ed25519 -N passphrase -f "$f" && cat "$f"; rm -f "$f" "$f.pub"'
    return spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).stdout
  }

  it('is sealed again after the data key of the installation was rotated', async () => {
    const { id } = await generate()
    const sealed = () => row<{ privateKey: Uint8Array }>(world.app.db, sql`select private_key from ssh_key where id = ${id}::uuid`)
    const [before, opened] = [await sealed(), await openDeployKey(world.app, tenant.organizationId, id)]
    await world.app.keyring.rotateDataKey(world.app.db, nilId)
    await rotateDataKeys.run(world.app, new AbortController().signal)
    expect(await sealed()).not.toEqual(before)
    expect(secretsOf((await openDeployKey(world.app, tenant.organizationId, id))!)).toEqual(secretsOf(opened!))
  })
})

describe('an account', () => {
  const query = 'query ($id: ID!) { node(id: $id) { ... on User { sshKeys { label fingerprint hasPrivateKey } } } }'
  const look = (caller: Caller, userId: string) => operation(world.app, caller, query, { id: encodeId('User', userId) })

  it('shows its keys to nobody else, and to no API key', async () => {
    const own = await createTenant(world.app)
    const colleague = await createTenant(world.app)
    await run(
      world.app.db,
      sql`insert into member (id, organization_id, user_id, role_id)
      select ${newId()}::uuid, organization_id, ${colleague.owner.userId}::uuid, id from role
      where organization_id = ${own.organizationId}::uuid and system = 'OWNER'`,
    )
    const key = await generate(own.owner)
    const inOrganization = { ...colleague.owner, organizationId: own.organizationId }
    const { data } = await look(own.owner, own.owner.userId!)
    expect(data).toEqual({ node: { sshKeys: [{ label: 'deploy', fingerprint: key.fingerprint, hasPrivateKey: true }] } })
    for (const caller of [inOrganization, own.key('ADMIN')])
      expect((await look(caller, own.owner.userId!)).errors?.map(({ code }) => code)).toEqual(['forbidden'])
    expect(await codeOf(execute(as(inOrganization), deleteSshKey, { id: key.id }))).toBe('not_found')
    expect(await codeOf(execute(as(own.key('ADMIN')), deleteSshKey, { id: key.id }))).toBe('forbidden')
    await execute(as(own.owner), deleteSshKey, { id: key.id })
    expect((await look(own.owner, own.owner.userId!)).data).toEqual({ node: { sshKeys: [] } })
  })

  it('has audit entries that name the key by label and fingerprint', async () => {
    const key = await generate()
    await execute(as(), deleteSshKey, { id: key.id })
    const entries = await rows(
      world.app.db,
      sql`select action, target_name, before, after from audit_entry where target_id = ${key.id}::uuid order by id`,
    )
    const shown = { label: 'deploy', keyType: 'ssh-ed25519', fingerprint: key.fingerprint }
    expect(entries).toEqual([
      { action: 'generateSshKey', targetName: 'deploy', before: null, after: shown },
      { action: 'deleteSshKey', targetName: 'deploy', before: shown, after: null },
    ])
  })
})

describe('the key of a service', () => {
  const url = 'git@git.example.com:shop.git'
  const service = async (input: CommandInput = {}, caller = tenant.owner) =>
    (await execute(as(caller), createWebService, { name: 'Shop', repositoryUrl: url, ...input })).webService
  const update = async (id: string, input: CommandInput, caller = tenant.owner) =>
    (await execute(as(caller), updateWebService, { id, ...input })).webService

  it('is chosen by its owner, kept by other changes, and cleared by null and by another URL', async () => {
    const { id: sshKeyId } = await generate()
    const { id } = await service({ sshKeyId })
    expect(await update(id, { name: 'Renamed', repositoryUrl: url }, tenant.key('ADMIN'))).toMatchObject({ sshKeyId })
    expect(await update(id, { sshKeyId }, tenant.key('ADMIN'))).toMatchObject({ sshKeyId })
    expect(await update(id, { repositoryUrl: 'git@git.example.com:other.git' }, tenant.key('ADMIN'))).toMatchObject({ sshKeyId: null })
    expect(await update(id, { sshKeyId, repositoryUrl: url })).toMatchObject({ sshKeyId, repositoryUrl: url })
    expect(await update(id, { sshKeyId: null })).toMatchObject({ sshKeyId: null, repositoryUrl: url })
  })

  it('is refused if it is foreign, unknown, without its private key, chosen by an API key, or of no use for the URL', async () => {
    const { id } = await service()
    const own = await generate()
    const foreign = await generate((await createTenant(world.app)).owner)
    const half = await add({ publicKey: lineOf(keyOf()) })
    const code = async (input: CommandInput, caller?: Caller) => {
      const { code, field } = await refusal(update(id, input, caller))
      return [code, field]
    }
    expect(await code({ sshKeyId: foreign.id })).toEqual(['not_found', 'sshKeyId'])
    expect(await code({ sshKeyId: newId() })).toEqual(['not_found', 'sshKeyId'])
    expect(await code({ sshKeyId: half.id })).toEqual(['no_private_key', 'sshKeyId'])
    expect(await code({ sshKeyId: own.id }, tenant.key('ADMIN'))).toEqual(['forbidden', undefined])
    expect(await code({ sshKeyId: own.id, repositoryUrl: 'https://git.example.com/a.git' })).toEqual(['invalid_input', 'sshKeyId'])
    // With the key of another person in place, nobody can point the service at another repository.
    await update(id, { sshKeyId: own.id })
    expect(await code({ sshKeyId: own.id, repositoryUrl: 'git@evil.example:a.git' }, tenant.key('ADMIN'))).toEqual(['forbidden', undefined])
  })

  it('is shown with the service, and gone from it when it is deleted', async () => {
    const key = await generate()
    const { id } = await service({ sshKeyId: key.id })
    const look = async () =>
      (await operation(world.app, tenant.key('READ'), 'query ($id: ID!) { webService(id: $id) { sshKey { label publicKey } } }', { id }))
        .data
    expect(await look()).toEqual({ webService: { sshKey: { label: 'deploy', publicKey: key.publicKey } } })
    await execute(as(), deleteSshKey, { id: key.id })
    expect(await look()).toEqual({ webService: { sshKey: null } })
  })

  /** Deploys the service with a source that has no commit. Returns the failure, and the repositories that the source was asked for. */
  async function deploy(own: World, caller: Caller, webServiceId: string) {
    const asked: RepositoryRef[] = []
    const pin: Source['pin'] = async ({ repository }) => {
      asked.push(repository)
      throw new PortError('COMMIT_NOT_FOUND', 'There is no commit.')
    }
    sourcePort.provide(own.app, { check: () => {}, pin } as Partial<Source> as Source)
    await execute(request(own.app, caller), deployWebService, { webServiceId })
    const [claimed] = (await deploymentQueue.claim(own.app, 'worker', 1, [])).items
    await deploymentQueue.work(own.app, claimed as Deployment, new AbortController().signal)
    const ended = await row<Deployment>(own.app.db, sql`select * from deployment order by id desc limit 1`)
    return { asked, failure: [ended!.failureCode, ended!.failureMessage] }
  }

  it('opens the repository in a deployment, as long as its owner is a member', async () => {
    const own = await createWorld()
    onTestFinished(own.close)
    const { owner, organizationId } = await createTenant(own.app)
    const key = (await execute(request(own.app, owner), generateSshKey, { label: 'deploy' })).sshKey
    const input = { name: 'Shop', repositoryUrl: url, sshKeyId: key.id }
    const { webService } = await execute(request(own.app, owner), createWebService, input)
    const first = await deploy(own, owner, webService.id)
    expect(first.failure).toEqual(['COMMIT_NOT_FOUND', 'There is no commit.'])
    expect(first.asked).toMatchObject([{ url, credential: null }])
    expect(lineOf(sshpk.parsePrivateKey(first.asked[0]!.sshKey!, 'ssh-private'))).toBe(key.publicKey)
    const used = await row<{ lastUsedAt: Date | null }>(own.app.db, sql`select last_used_at from ssh_key where id = ${key.id}::uuid`)
    expect(used!.lastUsedAt).toBeInstanceOf(Date)
    await run(own.app.db, sql`delete from member where user_id = ${owner.userId}::uuid and organization_id = ${organizationId}::uuid`)
    const second = await deploy(own, owner, webService.id)
    expect(second.asked).toEqual([])
    expect(second.failure).toEqual(['SOURCE_REJECTED', expect.stringContaining('no longer a member')])
  })
})
