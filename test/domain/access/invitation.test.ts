import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { acceptInvitation, inviteMember, lookUpInvitation, revokeInvitation } from '../../../src/domain/access/invitation/index.ts'
import { contentIdentity } from '../../../src/domain/access/mail/model.ts'
import { memberJoined, removeMember, updateMember } from '../../../src/domain/access/member/index.ts'
import { updateRole } from '../../../src/domain/access/role/index.ts'
import { type Caller, rolePermissions, systemCaller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { provideEmail } from '../../support/email.ts'
import {
  codeOf,
  createTenant,
  createWorld,
  operation,
  refusal,
  request,
  setRole,
  statementsOf,
  type Tenant,
  type World,
} from '../../support/tenant.ts'
import { addPerson, addUser, auditOf, callerOf, customRole, eventsOf, keyOf, newProject, systemRole } from './people.ts'

let world: World
let tenant: Tenant
let viewer: string

beforeAll(async () => {
  world = await createWorld()
  provideEmail(world.app)
})
beforeEach(async () => {
  tenant = await createTenant(world.app)
  viewer = await systemRole(world.app, tenant, 'VIEWER')
})
afterAll(() => world?.close())

const invite = (input: CommandInput = {}, caller = tenant.owner, app = world.app) =>
  execute(request(app, caller), inviteMember, { email: `${newId()}@example.com`, roleId: viewer, ...input })
const revoke = (id: string, caller = tenant.owner) => execute(request(world.app, caller), revokeInvitation, { id })
const tokenOf = ({ link }: { link: string | null }) => link!.split('#invitation=')[1]!
const look = (token: string) => lookUpInvitation(world.app, token)

type User = { id: string; name: string; email: string }
/** As sign-up and login call it. */
const accept = (token: string, user: User, app = world.app) =>
  transact(app, systemCaller(newId()), { emits: [memberJoined] }, (work) => acceptInvitation(work, { token, user }))
const membershipsOf = ({ id }: User) =>
  rows<{ organizationId: string; roleId: string }>(
    world.app.db,
    sql`select organization_id, role_id from member where user_id = ${id}::uuid`,
  )

/** The mail that was queued for an invitation. */
async function mailOf(ref: string) {
  type Queued = { id: string; toAddresses: string[]; subject: string; purpose: string; content: Uint8Array }
  const mail = (await row<Queued>(world.app.db, sql`select * from mail where ref = ${ref}::uuid`))!
  const content = await world.app.keyring.open(world.app.db, tenant.organizationId, contentIdentity(mail.id), mail.content)
  return { to: mail.toAddresses, subject: mail.subject, purpose: mail.purpose, text: (JSON.parse(content) as { text: string }).text }
}

/** A signed-in user of an organization of their own. */
async function signedIn(user: User): Promise<Caller> {
  const own = await createTenant(world.app)
  await run(world.app.db, sql`update member set user_id = ${user.id}::uuid where organization_id = ${own.organizationId}::uuid`)
  return callerOf(world.app, own, user.id)
}

it('more people can be invited at once than the process has connections to the database', async () => {
  const invite = (n: number) => execute(request(world.app, tenant.owner), inviteMember, { email: `guest-${n}@example.com`, roleId: viewer })
  const invited = await Promise.all(Array.from({ length: world.app.settings.DATABASE_POOL + 5 }, (_, n) => invite(n)))
  expect(new Set(invited.map(({ invitation }) => invitation.id)).size).toBe(invited.length)
})

describe('an invitation', () => {
  it('has a link whose token is in the fragment, stored as a hash only, and returned once', async () => {
    const input = { email: 'Ada@Example.com', idempotencyKey: newId() }
    const { invitation, link } = await invite(input)
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:4000\/login#invitation=[A-Za-z0-9_-]{43}$/)
    expect(invitation).toMatchObject({ email: 'ada@example.com', roleId: viewer, acceptedAt: null, revokedAt: null })
    expect(invitation).not.toHaveProperty('tokenHash')
    expect(await invite(input)).toEqual({ invitation, link: null })
    const token = tokenOf({ link })
    const stored = await row<{ tokenHash: Uint8Array }>(
      world.app.db,
      sql`select token_hash from invitation where id = ${invitation.id}::uuid`,
    )
    expect(Buffer.from(stored!.tokenHash)).toEqual(createHash('sha256').update(token).digest())
    for (const table of ['invitation', 'event', 'audit_entry', 'idempotency', 'mail']) {
      const found = await world.app.db.pool.query(`select 1 from ${table} t where position($1 in row_to_json(t)::text) > 0`, [token])
      expect({ table, found: found.rowCount }).toEqual({ table, found: 0 })
    }
  })

  it('is mailed to the address with the link, the organization, the role and who invites', async () => {
    await run(world.app.db, sql`update organization set name = ${'Acme\u2028Bcc: x'} where id = ${tenant.organizationId}::uuid`)
    const { invitation, link } = await invite()
    const mail = await mailOf(invitation.id)
    expect(mail).toMatchObject({ to: [invitation.email], subject: 'Invitation to Acme Bcc: x on Quayside', purpose: 'invitation' })
    for (const text of [link!, 'Acme Bcc: x', 'Viewer', tenant.owner.subject.name]) expect(mail.text).toContain(text)
  })

  it('makes whoever accepts a member with the role and the projects, with events and audit entries', async () => {
    const project = await newProject(world.app, tenant)
    const user = await addUser(world.app)
    const made = await invite({ email: user.email, projectIds: [project] })
    const member = await accept(tokenOf(made), user)
    expect(member).toMatchObject({ userId: user.id, organizationId: tenant.organizationId, roleId: viewer, projectIds: [project] })
    expect(await callerOf(world.app, tenant, user.id)).toMatchObject({ permissions: rolePermissions('VIEWER'), projectIds: [project] })
    expect(await eventsOf(world.app, made.invitation.id)).toEqual(['member.invited'])
    expect(await eventsOf(world.app, member.id)).toEqual(['member.joined'])
    expect(await auditOf(world.app, made.invitation.id)).toEqual([
      expect.objectContaining({
        action: 'inviteMember',
        targetName: user.email,
        before: null,
        after: expect.objectContaining({ roleId: viewer, projectIds: [project] }),
      }),
    ])
    expect(await auditOf(world.app, member.id)).toEqual([
      expect.objectContaining({
        action: 'acceptInvitation',
        targetName: user.email,
        before: null,
        after: expect.objectContaining({ roleName: 'Viewer' }),
      }),
    ])
    const { data } = await operation(
      world.app,
      tenant.owner,
      '{ invitations { nodes { email acceptedAt revokedAt invitedBy role { name } projects { id } } } }',
    )
    expect(data!.invitations.nodes).toEqual([
      {
        ...{ email: user.email, acceptedAt: expect.any(String), revokedAt: null, invitedBy: tenant.owner.subject.name },
        ...{ role: { name: 'Viewer' }, projects: [{ id: encodeId('Project', project) }] },
      },
    ])
  })

  it('is mailed to one address a few times an hour, whoever invites', async () => {
    const email = 'popular@example.com'
    const codes: string[] = []
    for (let n = 0; n < 12; n++) codes.push(await codeOf(invite({ email })))
    expect(codes).toEqual([...Array(10).fill('done'), ...Array(2).fill('too_many_invitations')])
  })

  it('shows the holder of the token what it is for, and nothing to others', async () => {
    const made = await invite()
    const user = await addUser(world.app)
    const known = await invite({ email: user.email })
    expect(await look(tokenOf(made))).toEqual({
      ...{ organizationId: tenant.organizationId, organizationName: tenant.owner.subject.name, roleName: 'Viewer' },
      ...{ email: made.invitation.email, expiresAt: made.invitation.expiresAt },
    })
    expect(await look(tokenOf(known))).toMatchObject({ email: user.email })
    const token = tokenOf(made)
    const wrong = [
      '',
      'x',
      token.slice(1),
      `${token}x`,
      `${token.slice(0, -1)}\n`,
      "' or true --",
      createHash('sha256').update(token).digest('hex'),
    ]
    const statements = await statementsOf(world.app, async () => {
      for (const text of wrong) expect(await codeOf(look(text))).toBe('invitation_invalid')
    })
    expect(statements).toEqual([])
    expect(await codeOf(look(`${token.slice(0, -1)}${token.endsWith('A') ? 'E' : 'A'}`))).toBe('invitation_invalid')
  })

  it('is answered alike for an address with an account and one without', async () => {
    const { email } = await addUser(world.app)
    const [known, unknown] = [await invite({ email }), await invite()]
    const shape = (answer: typeof known) =>
      JSON.stringify(answer, (name, value) =>
        ['id', 'email', 'link', 'expiresAt', 'createdAt', 'updatedAt'].includes(name) ? typeof value : value,
      )
    expect(shape(known)).toBe(shape(unknown))
    const sent = async (email: string) => {
      const texts = await statementsOf(world.app, () => invite({ email }))
      return texts.map((text) => text.replaceAll(/\$\d+/g, '$'))
    }
    expect(await sent((await addUser(world.app)).email)).toEqual(await sent(`${newId()}@example.com`))
  })

  it.each([
    '',
    'x',
    'a@',
    'Ada <ada@example.com>',
    'a@example.com, b@example.com',
    'a@example.com\r\nBcc: b@example.com',
    `${'a'.repeat(250)}@example.com`,
  ])('is refused for what is not one address: %j', async (email) => {
    expect(await refusal(invite({ email }))).toMatchObject({ code: 'invalid_input', field: 'email' })
  })

  it('is refused for a member, and for an unknown or foreign role or project', async () => {
    const { email } = await addPerson(world.app, tenant, viewer)
    expect(await refusal(invite({ email: email.toUpperCase() }))).toMatchObject({ code: 'already_member', field: 'email' })
    const other = await createTenant(world.app)
    for (const roleId of [newId(), await systemRole(world.app, other, 'VIEWER')])
      expect(await refusal(invite({ roleId }))).toMatchObject({ code: 'not_found', field: 'roleId' })
    for (const projectId of [newId(), await newProject(world.app, other)])
      expect(await refusal(invite({ projectIds: [projectId] }))).toMatchObject({ code: 'not_found', field: 'projectIds' })
    expect(await refusal(invite({ roleId: await systemRole(world.app, tenant, 'OWNER'), projectIds: [] }))).toMatchObject({
      code: 'invalid_input',
      field: 'projectIds',
    })
  })
})

describe('nobody invites to more than they have', () => {
  it('as a member or by an API key', async () => {
    const [owner, admin] = [await systemRole(world.app, tenant, 'OWNER'), await systemRole(world.app, tenant, 'ADMIN')]
    const ada = await addPerson(world.app, tenant, admin)
    const host = await addPerson(world.app, tenant, await customRole(world.app, tenant, ['manage:members', 'view:projects']))
    const everything = await addPerson(world.app, tenant, await customRole(world.app, tenant, [...rolePermissions('OWNER')]))
    for (const [caller, roleId] of [
      [ada.caller, owner],
      [everything.caller, owner],
      [host.caller, viewer],
      [keyOf(ada.caller, 'ADMIN'), owner],
      [{ ...tenant.key('ADMIN'), permissions: new Set(['manage:members'] as const) }, viewer],
    ] as const)
      expect(await refusal(invite({ roleId }, caller))).toMatchObject({ code: 'forbidden', field: 'roleId' })
    for (const [caller, roleId] of [
      [ada.caller, admin],
      [tenant.owner, owner],
      [tenant.key('ADMIN'), owner],
    ] as const)
      expect(await codeOf(invite({ roleId }, caller))).toBe('done')
  })

  it('nor while limited to projects, to those projects either', async () => {
    const project = await newProject(world.app, tenant)
    const limited = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'ADMIN'), [project])
    const { invitation } = await invite()
    for (const caller of [limited.caller, keyOf(limited.caller, 'ADMIN'), tenant.key('ADMIN', project)]) {
      expect(await codeOf(invite({ projectIds: [project] }, caller))).toBe('forbidden')
      expect(await codeOf(revoke(invitation.id, caller))).toBe('not_found')
    }
  })
})

describe('one error for every invitation that cannot be accepted', () => {
  const user = () => addUser(world.app)

  const ways: Record<
    string,
    (made: { invitation: { id: string; email: string }; token: string; roleId: string }, person: User) => Promise<unknown>
  > = {
    'used before': ({ token }, person) => accept(token, person),
    expired: ({ invitation }) => run(world.app.db, sql`update invitation set expires_at = app_now() where id = ${invitation.id}::uuid`),
    revoked: ({ invitation }) => revoke(invitation.id),
    'replaced by a newer one': ({ invitation }) => invite({ email: invitation.email }),
    'to a role that was deleted since': async ({ invitation, roleId }) => {
      await run(world.app.db, sql`delete from invitation where id = ${invitation.id}::uuid`)
      await run(world.app.db, sql`delete from role where id = ${roleId}::uuid`)
    },
    'to an organization that is being deleted': () =>
      run(world.app.db, sql`update organization set deleting_at = app_now() where id = ${tenant.organizationId}::uuid`),
    'of one who was demoted': async () => {
      const [invited] = await rows<{ userId: string }>(
        world.app.db,
        sql`select invited_by_id as user_id from invitation order by id desc limit 1`,
      )
      await setRole({ tx: world.app.db }, { ...tenant.owner, userId: invited!.userId }, 'DEVELOPER')
    },
    'of one who was limited to projects': async () => {
      await run(
        world.app.db,
        sql`update member set projects_limited = true where organization_id = ${tenant.organizationId}::uuid and role_id <> ${viewer}::uuid`,
      )
    },
    'of one who has less than the role has now': ({ roleId }) =>
      execute(request(world.app, tenant.owner), updateRole, { id: roleId, permissions: ['delete:organization'] }),
  }

  it.each(Object.entries(ways))('%s', async (_way, spoil) => {
    const roleId = await customRole(world.app, tenant, ['view:projects'])
    const ada = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'ADMIN'))
    const person = await user()
    const made = await invite({ email: person.email, roleId }, ada.caller)
    const token = tokenOf(made)
    expect(await look(token)).toMatchObject({ email: person.email })
    await spoil({ invitation: made.invitation, token, roleId }, person)
    const before = await membershipsOf(person)
    const refused = [await refusal(look(token)), await refusal(accept(token, person)), await refusal(accept(newId(), person))]
    expect(new Set(refused.map(({ code, message }) => `${code} ${message}`))).toEqual(
      new Set([
        'invitation_invalid The invitation is not valid. It may have expired, or have been accepted, revoked or replaced by a newer one. Ask for a new invitation.',
      ]),
    )
    expect(await membershipsOf(person)).toEqual(before)
  })

  it('of one who was removed, also after that member is back', async () => {
    const ada = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'ADMIN'))
    const person = await user()
    const made = await invite({ email: person.email }, ada.caller)
    await execute(request(world.app, tenant.owner), removeMember, { id: ada.memberId })
    expect(await codeOf(accept(tokenOf(made), person))).toBe('invitation_invalid')
    const again = await invite({ email: ada.email, roleId: await systemRole(world.app, tenant, 'ADMIN') })
    await accept(tokenOf(again), { id: ada.userId, name: 'Ada', email: ada.email })
    expect(await codeOf(accept(tokenOf(made), person))).toBe('invitation_invalid')
    expect(await auditOf(world.app, made.invitation.id)).toContainEqual(
      expect.objectContaining({ action: 'revokeInvitation', details: { reason: 'inviting member gone' } }),
    )
  })

  it('to the role Owner, of an owner who is one no more', async () => {
    const boss = await addPerson(world.app, tenant, await systemRole(world.app, tenant, 'OWNER'))
    const person = await user()
    const made = await invite({ email: person.email, roleId: await systemRole(world.app, tenant, 'OWNER') }, boss.caller)
    const everything = await customRole(world.app, tenant, [...rolePermissions('OWNER')])
    await execute(request(world.app, tenant.owner), updateMember, { id: boss.memberId, roleId: everything })
    expect(await codeOf(accept(tokenOf(made), person))).toBe('invitation_invalid')
  })

  it('after INVITATION_EXPIRY_MS by the clock of the database, and not before', async () => {
    const own = await createWorld({ INVITATION_EXPIRY_MS: '3600000' })
    try {
      provideEmail(own.app)
      const acme = await createTenant(own.app)
      const made = await invite({ roleId: await systemRole(own.app, acme, 'VIEWER') }, acme.owner, own.app)
      await shiftClock(own.url, 3_540_000)
      expect(await codeOf(lookUpInvitation(own.app, tokenOf(made)))).toBe('done')
      await shiftClock(own.url, 3_600_001)
      expect(await codeOf(lookUpInvitation(own.app, tokenOf(made)))).toBe('invitation_invalid')
    } finally {
      await own.close()
    }
  })
})

describe('accepting', () => {
  it('is refused to another address, and leaves the invitation as it was', async () => {
    const [ada, eve] = [await addUser(world.app), await addUser(world.app)]
    const token = tokenOf(await invite({ email: ada.email }))
    expect(await codeOf(accept(token, eve))).toBe('forbidden')
    expect(await membershipsOf(eve)).toEqual([])
    expect(await codeOf(accept(token, ada))).toBe('done')
  })

  it('works once, by 20 requests at once in two processes', async () => {
    const other = await world.process()
    const ada = await addUser(world.app)
    const token = tokenOf(await invite({ email: ada.email }))
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, n) => codeOf(accept(token, ada, n % 2 ? world.app : other))))
    expect(outcomes.toSorted()).toEqual(['done', ...Array.from({ length: 19 }, () => 'invitation_invalid')])
    expect(await membershipsOf(ada)).toHaveLength(1)
  })

  it('and revoking at once: one of them wins', async () => {
    for (let round = 0; round < 5; round++) {
      const ada = await addUser(world.app)
      const made = await invite({ email: ada.email })
      const [accepted, revoked] = await Promise.all([codeOf(accept(tokenOf(made), ada)), codeOf(revoke(made.invitation.id))])
      expect([accepted, revoked].toSorted()).toEqual(['done', 'invitation_invalid'])
      expect(await membershipsOf(ada)).toHaveLength(accepted === 'done' ? 1 : 0)
    }
  })

  it('by GraphQL, as a signed-in user of another organization, whose audit log learns nothing of it', async () => {
    const ada = await addUser(world.app)
    const caller = await signedIn(ada)
    const token = tokenOf(await invite({ email: ada.email }))
    const source =
      'mutation ($t: String!) { acceptInvitation(input: {token: $t}) { member { user { id } role { name } } organization { id name } } }'
    const { data, errors } = await operation(world.app, caller, source, { t: token })
    expect(errors).toBeUndefined()
    expect(data!.acceptInvitation).toEqual({
      member: { user: { id: encodeId('User', ada.id) }, role: { name: 'Viewer' } },
      organization: { id: encodeId('Organization', tenant.organizationId), name: tenant.owner.subject.name },
    })
    const entries = await rows(
      world.app.db,
      sql`select action, target_id, details from audit_entry where organization_id = ${caller.organizationId}::uuid and action = 'acceptInvitation'`,
    )
    expect(entries).toEqual([{ action: 'acceptInvitation', targetId: null, details: {} }])
    expect((await operation(world.app, caller, source, { t: token })).errors).toEqual([
      expect.objectContaining({ code: 'invitation_invalid' }),
    ])
  })

  it('by GraphQL is refused to API keys', async () => {
    const ada = await addUser(world.app)
    const caller = keyOf(await signedIn(ada), 'ADMIN')
    const token = tokenOf(await invite({ email: ada.email }))
    const { errors } = await operation(
      world.app,
      caller,
      'mutation ($t: String!) { acceptInvitation(input: {token: $t}) { member { id } } }',
      { t: token },
    )
    expect(errors).toEqual([expect.objectContaining({ code: 'forbidden' })])
    expect(await codeOf(look(token))).toBe('done')
  })

  it('rolls back with the sign-up that it is a part of', async () => {
    const made = await invite()
    const user = { id: newId(), name: 'Ada', email: made.invitation.email }
    const signUp = transact(world.app, systemCaller(newId()), { emits: [memberJoined] }, async (work) => {
      await run(work.tx, sql`insert into user_account (id, name, email) values (${user.id}::uuid, ${user.name}, ${user.email})`)
      await acceptInvitation(work, { token: tokenOf(made), user })
      throw new Error('the mail server is on fire')
    })
    await expect(signUp).rejects.toThrow('fire')
    expect(await look(tokenOf(made))).toMatchObject({ email: made.invitation.email })
    expect(await membershipsOf(user)).toEqual([])
  })
})

describe('pending invitations', () => {
  it('are at most one an address: the link of the former one is dead', async () => {
    const email = `${newId()}@example.com`
    const made = await Promise.all(Array.from({ length: 8 }, () => invite({ email: email.toUpperCase() })))
    const outcomes = await Promise.all(made.map((each) => codeOf(look(tokenOf(each)))))
    expect(outcomes.toSorted()).toEqual(['done', ...Array.from({ length: 7 }, () => 'invitation_invalid')])
  })

  it('of one address in two organizations are independent', async () => {
    const email = `${newId()}@example.com`
    const made = await invite({ email })
    const other = await createTenant(world.app)
    await invite({ email, roleId: await systemRole(world.app, other, 'VIEWER') }, other.owner)
    expect(await codeOf(look(tokenOf(made)))).toBe('done')
  })

  it('are at most 100 an organization, also when requested at once; replacing one is always possible', async () => {
    await run(
      world.app.db,
      sql`insert into invitation (id, organization_id, email, role_id, invited_by_id, invited_by, token_hash, expires_at)
          select gen_random_uuid(), ${tenant.organizationId}::uuid, n || '@example.com', ${viewer}::uuid, ${tenant.owner.userId}::uuid, 'x',
            sha256(convert_to(gen_random_uuid()::text, 'UTF8')), app_now() + interval '1 day' from generate_series(1, 97) n`,
    )
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => codeOf(invite())))
    expect(outcomes.filter((code) => code === 'done')).toHaveLength(3)
    expect(outcomes.filter((code) => code === 'invitation_limit')).toHaveLength(5)
    expect(await codeOf(invite({ email: '1@example.com' }))).toBe('done')
    await run(world.app.db, sql`update invitation set expires_at = app_now() where email = '2@example.com'`)
    expect(await codeOf(invite())).toBe('done')
  })

  it('can be revoked once', async () => {
    const { invitation } = await invite()
    expect((await revoke(invitation.id)).invitation.revokedAt).toBeInstanceOf(Date)
    expect(await refusal(revoke(invitation.id))).toMatchObject({ code: 'invitation_invalid', field: 'id' })
    expect(await codeOf(revoke(invitation.id, (await createTenant(world.app)).owner))).toBe('not_found')
  })

  it('to an address that was expired are replaced by a new one', async () => {
    const { invitation } = await invite()
    await run(world.app.db, sql`update invitation set expires_at = app_now() where id = ${invitation.id}::uuid`)
    expect(await codeOf(invite({ email: invitation.email }))).toBe('done')
  })
})
