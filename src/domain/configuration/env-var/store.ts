/** Rows of env vars, written many at a time in a fixed number of statements. The service is locked by the caller. */
import type { EnvVar, WebService } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { sealValues } from '../variable/index.ts'
import { type Entry, valueIdentity } from './model.ts'

const identified = ({ id, value }: { id: string; value: string }) => ({ identity: valueIdentity(id), plain: value })

/** Adds variables whose keys are new to the service. Returns them in order. */
export async function insertEnvVars(work: Work, service: WebService, entries: readonly Entry[]): Promise<EnvVar[]> {
  if (entries.length === 0) return []
  const added = entries.map((entry) => ({ ...entry, id: newId() }))
  const stored = await sealValues(work, service.organizationId, added.map(identified))
  const found = await rows<EnvVar>(
    work.tx,
    sql`insert into env_var (id, organization_id, project_id, web_service_id, key, value, fingerprint, is_short, is_secret, build_time, run_time, changed_by)
        select n.id, ${service.organizationId}::uuid, ${service.projectId}::uuid, ${service.id}::uuid, n.key, decode(n.sealed, 'base64'), n.fingerprint,
          n.is_short, n.is_secret, n.build_time, n.run_time, ${work.caller.subject.name}
        from unnest(${added.map(({ id }) => id)}::uuid[], ${added.map(({ key }) => key)}::text[], ${stored.map(({ sealed }) => sealed)}::text[],
          ${stored.map(({ fingerprint }) => fingerprint)}::text[], ${stored.map(({ isShort }) => isShort)}::bool[],
          ${added.map(({ isSecret }) => isSecret ?? false)}::bool[], ${added.map(({ buildTime }) => buildTime ?? true)}::bool[],
          ${added.map(({ runTime }) => runTime ?? true)}::bool[]) as n(id, key, sealed, fingerprint, is_short, is_secret, build_time, run_time)
        returning *`,
  )
  const byId = new Map(found.map((item) => [item.id, item]))
  return added.map(({ id }) => byId.get(id)!)
}

/** What a write asks of an existing variable. An omitted field keeps its value. */
export type EnvVarChange = Omit<Entry, 'key' | 'value'> & { known: EnvVar; value?: string | undefined }

/** Updates the variables that a change alters; all belong to one organization. Returns the updated ones by id. */
export async function updateEnvVars(work: Work, asked: readonly EnvVarChange[]): Promise<Map<string, EnvVar>> {
  if (asked.length === 0) return new Map()
  const { organizationId } = asked[0]!.known
  const changes = await alteringOnes(work, organizationId, asked)
  if (changes.length === 0) return new Map()
  const written = changes.flatMap(({ known, value }) => (value === undefined ? [] : [{ id: known.id, value }]))
  const stored = await sealValues(work, organizationId, written.map(identified))
  const storedById = new Map(written.map(({ id }, index) => [id, stored[index]!]))
  const storedOf = ({ known }: { known: EnvVar }) => storedById.get(known.id)
  const found = await rows<EnvVar>(
    work.tx,
    sql`update env_var v set value = coalesce(decode(n.sealed, 'base64'), v.value), fingerprint = coalesce(n.fingerprint, v.fingerprint),
          is_short = n.is_short, is_secret = n.is_secret, build_time = n.build_time, run_time = n.run_time,
          changed_at = app_now(), changed_by = ${work.caller.subject.name}, version = v.version + 1
        from unnest(${changes.map(({ known }) => known.id)}::uuid[], ${changes.map((change) => storedOf(change)?.sealed ?? null)}::text[],
          ${changes.map((change) => storedOf(change)?.fingerprint ?? null)}::text[],
          ${changes.map((change) => storedOf(change)?.isShort ?? change.known.isShort)}::bool[],
          ${changes.map(({ isSecret }) => isSecret)}::bool[], ${changes.map(({ buildTime }) => buildTime)}::bool[],
          ${changes.map(({ runTime }) => runTime)}::bool[]) as n(id, sealed, fingerprint, is_short, is_secret, build_time, run_time)
        where v.id = n.id returning v.*`,
  )
  return new Map(found.map((item) => [item.id, item]))
}

/** The changes that alter something, complete. `value` stays undefined where the value is the stored one. */
async function alteringOnes({ app, tx }: Work, organizationId: string, asked: readonly EnvVarChange[]) {
  const fingerprints = await app.keyring.fingerprintAll(
    tx,
    organizationId,
    asked.map(({ value }) => value ?? ''),
  )
  return asked
    .map(({ known, value, isSecret, buildTime, runTime }, index) => ({
      known,
      value: fingerprints[index] === known.fingerprint ? undefined : value,
      isSecret: isSecret ?? known.isSecret,
      buildTime: buildTime ?? known.buildTime,
      runTime: runTime ?? known.runTime,
    }))
    .filter(
      ({ known, value, isSecret, buildTime, runTime }) =>
        value !== undefined || isSecret !== known.isSecret || buildTime !== known.buildTime || runTime !== known.runTime,
    )
}
