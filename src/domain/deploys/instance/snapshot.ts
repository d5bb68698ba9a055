/**
 * The snapshot of a deployment: the variables that it was resolved to when it started. Keys and sources are stored in plain text, values
 * sealed. The deployment's instances always start with its snapshot, even if variables are changed, revoked or deleted later.
 */
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { SealedColumn } from '../../../platform/reseal.ts'
import type { App, Work } from '../../../platform/work.ts'
import { openValue, type Source, type ValueHandle } from '../../configuration/resolution/index.ts'

export type SnapshotEntry = {
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

/** An entry whose value has not been opened. */
export type UnopenedEntry = SnapshotEntry & { value: ValueHandle }

export type Snapshot = {
  entries: SnapshotEntry[]
  values: Record<string, string>
  /** Keys whose variables were secret when the snapshot was taken, or have become secret since. */
  secretKeys: ReadonlySet<string>
}

const identity = (deploymentId: string) => `deployment_config:${deploymentId}:sealed`

export const sealedSnapshot: SealedColumn = { table: 'deployment_config', key: 'deployment_id', column: 'sealed', identity }

/** Opens the values of variables. Returns them by key. */
export async function openValues(
  read: { app: App; tx: Tx },
  organizationId: string,
  variables: readonly Pick<UnopenedEntry, 'key' | 'value'>[],
): Promise<Record<string, string>> {
  const values: Record<string, string> = Object.create(null)
  for (const { key, value } of variables) values[key] = await openValue(read, organizationId, value)
  return values
}

/** Stores the snapshot of a deployment with the opened `values`. Replaces an earlier one. */
export async function saveSnapshot(
  work: Work,
  deployment: { id: string; organizationId: string },
  variables: readonly UnopenedEntry[],
  values: Record<string, string>,
  warnings: readonly string[],
): Promise<void> {
  const { organizationId } = deployment
  const entries = variables.map(
    ({ key, fingerprint, isSecret, source, alias, isFallback, requestedScope, buildTime, runTime }): SnapshotEntry => ({
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

/** The snapshot of a deployment; null if it has none. */
export async function readSnapshot({ app, tx }: { app: App; tx: Tx }, deploymentId: string): Promise<Snapshot | null> {
  const stored = await row<{ organizationId: string; entries: SnapshotEntry[]; sealed: Uint8Array; secretKeys: string[] }>(
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
  if (!stored) return null
  const values = JSON.parse(await app.keyring.open(tx, stored.organizationId, identity(deploymentId), stored.sealed))
  return { entries: stored.entries, values, secretKeys: new Set(stored.secretKeys) }
}

/** Entries of the live deployments' snapshots of many services, without values; null where none is live. */
export async function liveEntriesByService(tx: Tx, serviceIds: readonly string[]): Promise<(SnapshotEntry[] | null)[]> {
  const found = await rows<{ webServiceId: string; entries: SnapshotEntry[] | null }>(
    tx,
    sql`select d.web_service_id, c.entries from deployment d left join deployment_config c on c.deployment_id = d.id
        where d.web_service_id = any(${serviceIds}::uuid[]) and d.status = 'LIVE'`,
  )
  const byService = new Map(found.map((item) => [item.webServiceId, item.entries ?? []]))
  return serviceIds.map((id) => byService.get(id) ?? null)
}

/** The environment for builds or for instances. */
export const environmentOf = ({ entries, values }: Snapshot, phase: 'buildTime' | 'runTime'): Record<string, string> =>
  Object.fromEntries(entries.filter((entry) => entry[phase]).map(({ key }) => [key, values[key]!]))
