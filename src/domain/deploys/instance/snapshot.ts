/**
 * The variables that one deployment was given, pinned: what they are is readable, their values are sealed. Instances are started with
 * them for as long as the deployment's release runs, whatever is changed, revoked or deleted meanwhile.
 */
import { readFileSync } from 'node:fs'
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { onEvent } from '../../../platform/events.ts'
import { masterKeyFile } from '../../../platform/master-key.ts'
import { perApp } from '../../../platform/per-app.ts'
import { defineSealedColumn } from '../../../platform/reseal.ts'
import type { App, Work } from '../../../platform/work.ts'
import { envVarChanged } from '../../configuration/env-var/index.ts'
import { openValue, type Source, type ValueHandle } from '../../configuration/resolution/index.ts'
import { secretUpdated } from '../../configuration/secret/index.ts'
import { secretBindingCreated } from '../../configuration/secret-binding/index.ts'
import { createRedactor, type Hits, type Redact, type SecretValue } from '../log/index.ts'

export type PinnedEntry = {
  key: string
  fingerprint: string
  isSecret: boolean
  source: Source
  alias: string | null
  isFallback: boolean
  requestedScope: EnvironmentType
  buildTime: boolean
  runTime: boolean
}

/** An entry with its value still behind a handle. */
export type PinnableEntry = PinnedEntry & { value: ValueHandle }

export type PinnedConfiguration = {
  entries: PinnedEntry[]
  values: Record<string, string>
  /** Keys that were secret when they were pinned, or that are now. */
  secretKeys: ReadonlySet<string>
}

const identity = (deploymentId: string) => `deployment_config:${deploymentId}:sealed`

defineSealedColumn({ table: 'deployment_config', key: 'deployment_id', column: 'sealed', identity })

/** Values by key. */
export async function openValues(
  read: { app: App; tx: Tx },
  organizationId: string,
  variables: readonly Pick<PinnableEntry, 'key' | 'value'>[],
): Promise<Record<string, string>> {
  const values: Record<string, string> = Object.create(null)
  for (const { key, value } of variables) values[key] = await openValue(read, organizationId, value)
  return values
}

/** Pins a deployment's variables with their opened values; a second pinning replaces the first. */
export async function pinConfiguration(
  work: Work,
  deployment: { id: string; organizationId: string },
  variables: readonly PinnableEntry[],
  values: Record<string, string>,
  warnings: readonly string[],
): Promise<void> {
  const { organizationId } = deployment
  const entries = variables.map(
    ({ key, fingerprint, isSecret, source, alias, isFallback, requestedScope, buildTime, runTime }): PinnedEntry => ({
      key,
      fingerprint,
      isSecret,
      source,
      alias,
      isFallback,
      requestedScope,
      buildTime,
      runTime,
    }),
  )
  const sealed = await work.app.keyring.seal(work.tx, organizationId, identity(deployment.id), JSON.stringify(values))
  await run(
    work.tx,
    sql`insert into deployment_config (deployment_id, organization_id, entries, sealed, warnings)
        values (${deployment.id}::uuid, ${organizationId}::uuid, ${JSON.stringify(entries)}::json, ${sealed}, ${[...warnings]}::text[])
        on conflict (deployment_id) do update set entries = excluded.entries, sealed = excluded.sealed, warnings = excluded.warnings`,
  )
}

/** What a deployment was given; null for one that pinned nothing. */
export async function pinnedConfiguration({ app, tx }: { app: App; tx: Tx }, deploymentId: string): Promise<PinnedConfiguration | null> {
  const pinned = await row<{ organizationId: string; entries: PinnedEntry[]; sealed: Uint8Array; secretKeys: string[] }>(
    tx,
    sql`select c.organization_id, c.entries, c.sealed, array(
          select e.key from json_to_recordset(c.entries) as e(key text, "isSecret" boolean, source json)
          where e."isSecret"
             or exists (select 1 from env_var v where v.web_service_id = d.web_service_id and v.key = e.key and v.is_secret)
             or exists (select 1 from secret s where s.is_secret
                          and s.id = case when e.source ->> 'kind' = 'SECRET_BINDING' then (e.source ->> 'id')::uuid end)
             or exists (select 1 from secret_binding b join secret s on s.id = b.secret_id
                        where b.web_service_id = d.web_service_id and b.alias = e.key and s.is_secret
                          and not exists (select 1 from env_var v where v.web_service_id = d.web_service_id and v.key = e.key))) as secret_keys
        from deployment_config c join deployment d on d.id = c.deployment_id where c.deployment_id = ${deploymentId}::uuid`,
  )
  if (!pinned) return null
  const values = JSON.parse(await app.keyring.open(tx, pinned.organizationId, identity(deploymentId), pinned.sealed))
  return { entries: pinned.entries, values, secretKeys: new Set(pinned.secretKeys) }
}

/** What the live deployments of many services were given, without values; null where none is live. */
export async function liveEntriesByService(tx: Tx, serviceIds: readonly string[]): Promise<(PinnedEntry[] | null)[]> {
  const found = await rows<{ webServiceId: string; entries: PinnedEntry[] | null }>(
    tx,
    sql`select d.web_service_id, c.entries from deployment d left join deployment_config c on c.deployment_id = d.id
        where d.web_service_id = any(${serviceIds}::uuid[]) and d.status = 'LIVE'`,
  )
  const byService = new Map(found.map((item) => [item.webServiceId, item.entries ?? []]))
  return serviceIds.map((id) => byService.get(id) ?? null)
}

/** The variables for one phase. */
export const environmentOf = ({ entries, values }: PinnedConfiguration, phase: 'buildTime' | 'runTime'): Record<string, string> =>
  Object.fromEntries(entries.filter((entry) => entry[phase]).map(({ key }) => [key, values[key]!]))

/** What must not be read in a log of this deployment. */
export const secretValuesOf = ({ secretKeys, values }: PinnedConfiguration): SecretValue[] =>
  [...secretKeys].map((key) => ({ key, value: values[key]! }))

/** Secrets of the installation itself, which nothing that is deployed should ever see, let alone print. */
export function platformCredentials({ settings }: App): SecretValue[] {
  const { DATABASE_URL, EGRESS_PROXY, SVIX_TOKEN } = settings
  const urls = [DATABASE_URL, EGRESS_PROXY].flatMap((url) => (url ? [new URL(url.reveal())] : []))
  const values = [
    ...masterKeyLines(settings).map((line) => line.slice(line.indexOf(':') + 1).trim()),
    ...(SVIX_TOKEN ? [SVIX_TOKEN.reveal()] : []),
    // Escaped as they are: the redactor decodes them.
    ...urls.flatMap(({ username, password }) => (password ? [password, `${username}:${password}`] : [])),
  ]
  return values.filter((value) => value.length >= 8).map((value) => ({ key: 'platform', value }))
}

/** Read anew each time: a rotation adds a key while servers run. A file that is gone can't be printed. */
function masterKeyLines(settings: App['settings']): string[] {
  const { MASTER_KEYS } = settings
  if (MASTER_KEYS) return MASTER_KEYS.reveal().split(',')
  try {
    return readFileSync(masterKeyFile(settings), 'utf8').split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

type Kept = { redactor: Promise<Redact>; until: number }

const keptRedactors = 200
/** A wake-up may be lost. */
const redactorKeptMs = 60_000

/** Variables that run already may have become secret. */
const changedTopic = 'variables'
const lookAgain = async (work: Work) => work.wake(changedTopic)
onEvent(envVarChanged, lookAgain)
onEvent(secretUpdated, lookAgain)
onEvent(secretBindingCreated, lookAgain)

const redactorsOf = perApp((app) => {
  const redactors = new Map<string, Kept>()
  app.wake.on(changedTopic, () => redactors.clear())
  return redactors
})

/** The redactor of what a deployment's instances print, as of now: it is not to be kept. */
export function redactorOf(app: App, deploymentId: string): Promise<Redact> {
  const known = redactorsOf(app)
  const now = app.clock.elapsedMs()
  const kept = known.get(deploymentId)
  if (kept && kept.until > now) return kept.redactor
  const redactor = pinnedConfiguration({ app, tx: app.db.prisma }, deploymentId).then((pinned) =>
    createRedactor([...(pinned ? secretValuesOf(pinned) : []), ...platformCredentials(app)]),
  )
  redactor.catch(() => known.delete(deploymentId))
  known.set(deploymentId, { redactor, until: now + redactorKeptMs })
  const oldest = known.size > keptRedactors ? known.keys().next().value : undefined
  if (oldest !== undefined) known.delete(oldest)
  return redactor
}

/** Adds to the count of values that were taken out of a deployment's logs. */
export async function countRedactions(tx: Tx, deploymentId: string, hits: Hits): Promise<void> {
  if (hits.size === 0) return
  await run(
    tx,
    sql`update deployment_config set redactions = (
          select jsonb_object_agg(t.key, t.n) from (
            select e.key, sum(e.value::bigint) as n
            from (select * from jsonb_each_text(redactions) union all select * from jsonb_each_text(${JSON.stringify(Object.fromEntries(hits))}::jsonb)) e
            group by e.key) t)
        where deployment_id = ${deploymentId}::uuid`,
  )
}

export type Redaction = { key: string; count: number }

/** The counts of many deployments in one statement, by key. */
export async function redactionsByDeployment(tx: Tx, deploymentIds: readonly string[]): Promise<Redaction[][]> {
  const found = await rows<{ deploymentId: string; redactions: Record<string, number> }>(
    tx,
    sql`select deployment_id, redactions from deployment_config where deployment_id = any(${deploymentIds}::uuid[])`,
  )
  const byDeployment = new Map(found.map((item) => [item.deploymentId, item.redactions]))
  return deploymentIds.map((id) =>
    Object.entries(byDeployment.get(id) ?? {})
      .map(([key, count]) => ({ key, count: Number(count) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  )
}
