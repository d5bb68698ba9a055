/** Who may do what: two organizations, an invitation, a role that deploys but does not see secrets, and an audit log that cannot be falsified unseen. */
import { startEmbeddedPostgres } from '../../drivers/postgres/index.ts'
import { executeScript } from '../../platform/db/database.ts'
import { type Client, openClient } from './client.ts'
import { ensure } from './report.ts'
import type { Server } from './server.ts'
import { type Chapter, type Deployment, deploy, liveEndOf, type Stage, until } from './stage.ts'

export const chapter: Chapter = {
  about: 'two organizations, an invitation, a role that may deploy but not reveal, the audit log verified, then falsified and found',
  needsOwnServer: true,
  parts(stage) {
    const story = {} as Story
    return [
      { name: 'A second organization', show: () => createSecond(stage, story) },
      { name: 'The two share nothing', show: () => lookAcross(stage, story) },
      { name: 'An invitation is accepted', show: () => inviteDeployer(stage, story) },
      { name: 'May deploy, not reveal', show: () => deployWithoutReveal(stage, story) },
      { name: 'The denial is on record', show: () => readDenial(stage, story) },
      { name: 'The chain is verified', show: () => verifyIntact(stage, story) },
      { name: 'A forgery is found', show: () => findForgery(stage, story) },
      { name: 'The second one is deleted', show: () => deleteSecond(stage, story) },
    ]
  },
}

type Story = {
  owner: Client
  /** What the owner signs requests with. */
  session: Server
  deployer: Client
  slug: string
  projectId: string
  service: Stage['service']
  secretId: string
  /** Position of the entry of the denial. */
  position: string
}

const value = 'nobody-but-the-owner-sees-this'

/** The owner of the first organization invites Grace as another owner. She signs up, and creates an organization of her own. */
async function createSecond(stage: Stage, story: Story): Promise<string> {
  story.session = await join(stage, stage.client, 'Grace', await roleOf(stage.client, 'Owner'))
  story.owner = open(stage, story.session)
  const { createOrganization } = await story.owner.ask<{ createOrganization: { organization: { id: string; slug: string } } }>(
    'mutation { createOrganization(input: { name: "Northwind" }) { organization { id slug } } }',
  )
  const { id, slug } = createOrganization.organization
  await story.owner.ask('mutation ($id: ID!) { switchOrganization(input: { organizationId: $id }) { organization { id } } }', { id })
  story.slug = slug
  const { organizations } = await story.owner.ask<{ organizations: { nodes: { slug: string }[] } }>('{ organizations { nodes { slug } } }')
  return organizations.nodes.map((each) => each.slug).join(', ')
}

async function lookAcross(stage: Stage, story: Story): Promise<string> {
  const { owner } = story
  const { createProject } = await owner.ask<{ createProject: { project: { id: string } } }>(
    'mutation { createProject(input: { name: "Shop" }) { project { id } } }',
  )
  story.projectId = createProject.project.id
  const { createWebService } = await owner.ask<{ createWebService: { webService: Stage['service'] } }>(
    'mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id url } } }',
    { input: { projectId: story.projectId, name: 'Shop', repositoryUrl: stage.repository.url, healthCheckPath: '/health' } },
  )
  story.service = createWebService.webService
  const { createSecret } = await owner.ask<{ createSecret: { secret: { id: string } } }>(
    'mutation ($p: ID!, $value: String!) { createSecret(input: { projectId: $p, key: "TOKEN", value: $value }) { secret { id } } }',
    { p: story.projectId, value },
  )
  story.secretId = createSecret.secret.id
  const nodeOf = async (client: Client, id: string) =>
    (await client.ask<{ node: { id: string } | null }>('query ($id: ID!) { node(id: $id) { id } }', { id })).node
  ensure((await nodeOf(owner, story.projectId)) !== null, 'The owner does not see the project.')
  for (const [client, id] of [
    [owner, stage.projectId],
    [stage.client, story.projectId],
    [stage.client, story.secretId],
  ] as const)
    ensure((await nodeOf(client, id)) === null, `${id} is visible from the other organization.`)
  return 'each sees its own project, and not the other one'
}

async function inviteDeployer(stage: Stage, story: Story): Promise<string> {
  const { createRole } = await story.owner.ask<{ createRole: { role: { id: string } } }>(
    `mutation ($permissions: [String!]!) { createRole(input: { name: "Deployer", permissions: $permissions }) { role { id } } }`,
    { permissions: ['view:projects', 'view:environments', 'view:web_services', 'view:deployments', 'view:secrets', 'deploy:web_services'] },
  )
  story.deployer = open(stage, await join(stage, story.owner, 'Linus', createRole.role.id))
  const { members } = await story.owner.ask<{ members: { nodes: { user: { name: string }; role: { name: string } }[] } }>(
    '{ members { nodes { user { name } role { name } } } }',
  )
  return members.nodes.map(({ user, role }) => `${user.name}: ${role.name}`).join(', ')
}

async function roleOf(client: Client, name: string): Promise<string> {
  const { roles } = await client.ask<{ roles: { nodes: { id: string; name: string }[] } }>('{ roles { nodes { id name } } }')
  return roles.nodes.find((role) => role.name === name)!.id
}

/** Invites a person, who signs up with the link of the invitation. */
async function join({ server, report }: Stage, inviter: Client, name: string, roleId: string): Promise<Server> {
  const email = `${name.toLowerCase()}@example.com`
  const { inviteMember } = await inviter.ask<{ inviteMember: { link: string } }>(
    'mutation ($email: String!, $roleId: ID!) { inviteMember(input: { email: $email, roleId: $roleId }) { link } }',
    { email, roleId },
  )
  const invitationToken = inviteMember.link.split('#invitation=')[1]
  const answer = await fetch(new URL('/api/auth/signup', server.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, email, password: `${name} likes long passphrases`, invitationToken }),
    signal: AbortSignal.timeout(15_000),
  })
  const { accessToken, detail } = (await answer.json()) as { accessToken?: string; detail?: string }
  ensure(answer.status === 201 && accessToken !== undefined, `${name} could not sign up: ${answer.status} ${detail}`)
  report.say(`  ${name} signed up with the link of the invitation`)
  return { url: server.url, key: accessToken }
}

function open({ undo }: Stage, session: Server): Client {
  const client = openClient(session)
  undo.push(() => client.close())
  return client
}

async function deployWithoutReveal(stage: Stage, story: Story): Promise<string> {
  const deploying = { ...stage, client: story.deployer, service: story.service }
  const deployment: Deployment = await deploy(deploying)
  await liveEndOf(deploying, deployment)
  const refused = await story.deployer
    .ask('mutation ($id: ID!) { revealSecret(input: { id: $id }) { value } }', { id: story.secretId })
    .then(
      () => null,
      (error: Error) => error.message,
    )
  ensure(refused?.startsWith('forbidden') ?? false, `The reveal was answered with ${refused ?? 'the value'}.`)
  return `deployment ${deployment.number} is live; reveal: ${refused}`
}

type Entry = { position: string; action: string; actorName: string; targetName: string | null; outcome: string }

async function readDenial({ report }: Stage, story: Story): Promise<string> {
  const { auditLog } = await story.owner.ask<{ auditLog: { nodes: Entry[] } }>(
    '{ auditLog(outcome: DENIED) { nodes { position action actorName targetName outcome } } }',
  )
  for (const { position, outcome, actorName, action, targetName } of auditLog.nodes)
    report.say(`  ${position} ${outcome} ${actorName} ${action} ${targetName}`)
  const denial = auditLog.nodes.find(({ action, actorName }) => action === 'revealSecret' && actorName === 'Linus')
  ensure(denial !== undefined, 'The audit log does not contain the denied reveal.')
  story.position = denial.position
  return `entry ${denial.position}: ${denial.outcome} ${denial.action} by ${denial.actorName}`
}

type Verified = { valid: boolean; checked: number; brokenAt: string | null }

const verify = async ({ owner }: Story): Promise<Verified> =>
  (await owner.ask<{ verifyAuditLog: Verified }>('mutation { verifyAuditLog(input: {}) { valid checked brokenAt } }')).verifyAuditLog

async function verifyIntact(_stage: Stage, story: Story): Promise<string> {
  const { valid, checked } = await verify(story)
  ensure(valid, 'The audit log is not intact.')
  return `${checked} entries, all as they were written`
}

/** Whoever has the database can switch the guard off and blame somebody else, but not unseen. */
async function findForgery({ server, report }: Stage, story: Story): Promise<string> {
  const { url } = await startEmbeddedPostgres({ dataDir: server.dataDir! })
  await executeScript(
    url,
    `alter table audit_entry disable trigger audit_entry_guard;
     update audit_entry set actor_name = 'Grace' where position = ${BigInt(story.position)} and action = 'revealSecret';
     alter table audit_entry enable trigger audit_entry_guard;`,
  )
  report.say(`  SQL: entry ${story.position} now names Grace`)
  const { valid, brokenAt } = await verify(story)
  ensure(!valid && brokenAt === story.position, `The verification reports ${valid ? 'an intact log' : `entry ${brokenAt}`}.`)
  return `broken at entry ${brokenAt}`
}

/** Only whoever requested the deletion still sees something of the organization: how far it is. */
async function deleteSecond({ report, undo }: Stage, { owner, deployer, slug, session }: Story): Promise<string> {
  const started = performance.now()
  const { deleteOrganization } = await owner.ask<{ deleteOrganization: { operation: { id: string } } }>(
    'mutation ($slug: String!) { deleteOrganization(input: { confirmSlug: $slug }) { operation { id } } }',
    { slug },
  )
  const isRefused = (act: Promise<unknown>) =>
    act.then(
      () => false,
      () => true,
    )
  ensure(await isRefused(deployer.ask('{ projects { totalCount } }')), 'The deployer still has access.')
  const there = openClient({ ...session, organization: slug })
  undo.push(() => there.close())
  ensure(await isRefused(there.ask('{ projects { totalCount } }')), 'The owner still sees more than the operation.')
  let shown = ''
  const isGone = () =>
    there
      .ask<{ operation: { stepsCompleted: number; totalSteps: number | null } }>(
        'query ($id: ID!) { operation(id: $id) { stepsCompleted totalSteps } }',
        { id: deleteOrganization.operation.id },
      )
      .then(
        ({ operation: { stepsCompleted, totalSteps } }) => {
          const line = `  ${stepsCompleted} of ${totalSteps ?? '?'} steps`
          if (line !== shown) report.say(line)
          shown = line
          return false
        },
        () => true,
      )
  await until('the organization is gone', isGone, 90_000)
  const { organizations } = await owner.ask<{ organizations: { nodes: { slug: string }[] } }>('{ organizations { nodes { slug } } }')
  const left = organizations.nodes.map((each) => each.slug)
  ensure(!left.includes(slug), `${slug} is still listed.`)
  return `gone after ${((performance.now() - started) / 1000).toFixed(1)} s; left: ${left.join(', ')}`
}
