/** Checks of servers over SSH, as a queue: one process holds a server's check at a time, and a slow one delays no other. */
import type { Server } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Claimed, type Claims, claim, firstDueInMs, type Queue, renew, setAsideText } from '../../../platform/claim.ts'
import { assignments, row, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { checkEvents, eventOf } from './events.ts'
import { type CheckEvent, credentialIdentity, type Judgement, judge, pinnedKeyOf, serversTopic } from './model.ts'
import { type Inspection, sshPort } from './ports.ts'

type Item = Claimed & Server

/** Checks mostly wait, for at most SERVER_TIMEOUT_MS in each of four stages. */
const concurrency = 32

/** Checks of one organization at the same time, in all processes: hosts of one that hang leave room for those of the others. */
const perOrganization = 8

/** Whether fewer servers of the organization are being checked, or are due before `t`. */
const hasTurn = sql`(
  select count(*) from (
    select 1 from server o
    where o.organization_id = t.organization_id and o.id <> t.id and o.next_check_at <= app_now()
      and (o.lease_expires_at > app_now() or (o.next_check_at, o.id) < (t.next_check_at, t.id))
    limit ${perOrganization}) as before) < ${perOrganization}`

/** How soon to look again for servers that are due and wait for others of their organization. */
const turnsMs = 1_000

const emits = Object.values(checkEvents)

/** Holds while the check of an item is wanted: a removal and a change of the connection end it, as the next holder does. */
const isHeld = ({ id, leaseEpoch, revision }: Item) => sql`id = ${id}::uuid and lease_epoch = ${leaseEpoch} and revision = ${revision}`

const release = (app: App, { id, leaseEpoch }: Item): Promise<number> =>
  run(app.db, sql`update server set lease_owner = null, lease_expires_at = null where id = ${id}::uuid and lease_epoch = ${leaseEpoch}`)

const firstDue = (app: App): Promise<number | null> =>
  firstDueInMs(app.db, 'server', 'greatest(next_check_at, lease_expires_at)', sql`next_check_at is not null`)

async function claimServers(app: App, worker: string, limit: number): Promise<Claims<Item>> {
  const dueInMs = await firstDue(app)
  if (dueInMs === null || dueInMs > 0) return { items: [], dueInMs, waitsForOwn: false }
  const items = await claim<Item>(app.db, {
    table: 'server',
    key: ['id'],
    due: sql`t.next_check_at <= app_now() and ${hasTurn}`,
    order: sql`t.next_check_at`,
    limit,
    owner: worker,
    leaseMs: app.settings.WORKER_LEASE_MS,
    set: sql`, status = case when t.status = 'PENDING' then 'VALIDATING' else t.status end`,
  })
  const nextInMs = await firstDue(app)
  return { items, dueInMs: nextInMs === null ? null : Math.max(nextInMs, turnsMs), waitsForOwn: true }
}

export const serverChecks: Queue<Item> = {
  name: 'server checks',
  emits,
  rows: { table: 'server', match: ({ id }) => sql`id = ${id}::uuid` },
  topic: serversTopic,
  pollMs: 30_000,
  concurrency,
  abortOnStop: true,
  claim: claimServers,
  renew: (app, item) =>
    renew(app.db, 'server', sql`id = ${item.id}::uuid and revision = ${item.revision}`, item.leaseEpoch, app.settings.WORKER_LEASE_MS),
  release,
  async work(app, item, signal) {
    const inspection = await inspect(app, item, signal)
    if (inspection === null || !(await record(app, item, inspection))) await release(app, item)
    return 'pending'
  },
  async setAside(app, item) {
    const failure = { code: 'UNREACHABLE' as const, message: setAsideText }
    if (!(await record(app, item, { hostKey: null, facts: null, failure }))) await release(app, item)
  },
}

/** Null if the check was aborted. */
async function inspect(app: App, server: Item, signal: AbortSignal): Promise<Inspection | null> {
  const { id, organizationId, host, port, sshUser: user, authMethod, credential } = server
  const secret = await app.keyring.open(app.db, organizationId, credentialIdentity(id), credential!)
  const target = {
    ...{ host: host!, port: port!, user: user!, hostKey: pinnedKeyOf(server) },
    credential: authMethod === 'PASSWORD' ? { password: secret } : { privateKey: secret },
  }
  try {
    return await sshPort.use(app).inspect(target, signal)
  } catch (error) {
    if (signal.aborted) return null
    throw error
  }
}

/** Records the result of a check and releases the server. False if the result is outdated. */
const record = (app: App, item: Item, inspection: Inspection): Promise<boolean> =>
  transact(app, systemCaller(item.organizationId), { emits }, async (work) => {
    const server = await row<Server>(work.tx, sql`select * from server where ${isHeld(item)} for update`)
    if (!server) return false
    const judgement = judge(server, inspection, app.settings.SERVER_CHECK_MS)
    const set = assignments({ ...changesBy(server, inspection, judgement), leaseOwner: null, leaseExpiresAt: null })
    const checked = (await row<Server>(work.tx, sql`update server set ${set} where id = ${server.id}::uuid returning *`))!
    for (const event of judgement.events) await tell(work, event, checked, inspection)
    return true
  })

/** Checks are spread, so that those of many servers do not stay together. */
const spread = (waitMs: number): number => waitMs * (0.9 + Math.random() * 0.2)

function changesBy(server: Server, { failure, facts, hostKey }: Inspection, { status, failures, waitMs, events }: Judgement): object {
  const isChanged = failure?.code === 'HOST_KEY_CHANGED'
  const isFirstKey = server.hostKeyFingerprint === null && hostKey !== null
  return {
    ...{ status, failures, nextCheckAt: sql`app_now() + ${spread(waitMs)} * interval '1 millisecond'` },
    failureCode: status === 'ERROR' ? failure!.code : null,
    statusMessage: status === 'ERROR' ? failure!.message : null,
    ...(isFirstKey ? { hostKeyType: hostKey.type, hostKeyFingerprint: hostKey.fingerprint } : {}),
    ...(isChanged ? { presentedHostKeyType: hostKey!.type, presentedHostKeyFingerprint: hostKey!.fingerprint } : {}),
    ...(events.includes('lost') ? { lostAt: sql`app_now()` } : {}),
    ...(failure === null
      ? {
          ...{ ...facts, lastSeenAt: sql`app_now()`, validatedAt: sql`coalesce(validated_at, app_now())`, lostAt: null },
          ...{ presentedHostKeyType: null, presentedHostKeyFingerprint: null },
        }
      : {}),
  }
}

async function tell(work: Work, event: CheckEvent, server: Server, { failure }: Inspection): Promise<void> {
  const common = eventOf(server)
  const { data } = common
  switch (event) {
    case 'active':
    case 'recovered':
      return void (await publish(work, checkEvents[event], common))
    case 'failed':
    case 'lost':
      return void (await publish(work, checkEvents[event], { ...common, data: { ...data, ...failure! } }))
    case 'host_key_changed': {
      const fingerprints = {
        expectedFingerprint: server.hostKeyFingerprint!,
        presentedFingerprint: server.presentedHostKeyFingerprint!,
      }
      return void (await publish(work, checkEvents[event], { ...common, data: { ...data, ...fingerprints } }))
    }
  }
}
