/** Reads the facts of many services in a fixed number of statements, and resolves them. */
import type { EnvironmentType, EnvVar } from '../../../generated/prisma/client.ts'
import { rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { fallbackOf } from '../../apps/project/index.ts'
import { valueIdentity } from '../env-var/index.ts'
import { versionIdentity } from '../secret/index.ts'
import { isTooShortToRedact } from '../variable/index.ts'
import { type Bound, type Candidate, type Resolution, resolve, type ScopedSecret, type ValueHandle } from './resolve.ts'
import { type GivenVariable, type Revision, type ServiceFacts, variableSources } from './source.ts'

type ServiceRow = ServiceFacts & { secretFallback: never; createdAt: Date }

/** The number of bytes of the values that `resolveServices` reads. */
export const resolutionBytes = (serviceIds: readonly string[]): Sql =>
  sql`select ((select coalesce(sum(octet_length(value)), 0) from env_var where web_service_id = any(${serviceIds}::uuid[]))
        + (select coalesce(sum(octet_length(v.value)), 0) from secret_binding b join secret bs on bs.id = b.secret_id
           join secret s on s.project_id = bs.project_id and s.key = bs.key
           join secret_version v on v.secret_id = s.id and v.version = s.current_version
           where b.web_service_id = any(${serviceIds}::uuid[])))::float8 as bytes`

/** Resolves services, by id, from the current data. Services that do not exist are omitted. */
export async function resolveServices(
  read: { app: App; tx: Tx },
  serviceIds: readonly string[],
  revisions: ReadonlyMap<string, Revision> = new Map(),
): Promise<Map<string, Resolution>> {
  const services = await rows<ServiceRow>(
    read.tx,
    sql`select s.id, s.organization_id, s.project_id, s.name, s.slug, s.created_at, e.name as environment_name, e.type::text as environment_type, p.secret_fallback
        from web_service s join environment e on e.id = s.environment_id join project p on p.id = s.project_id
        where s.id = any(${serviceIds}::uuid[])`,
  )
  const envVars = await rows<EnvVar>(read.tx, sql`select * from env_var where web_service_id = any(${serviceIds}::uuid[])`)
  const bindings = await readBindings(read.tx, serviceIds)
  const given: { kind: string; bySource: ReadonlyMap<string, readonly GivenVariable[]> }[] = []
  for (const source of variableSources.of(read.app))
    given.push({ kind: source.kind, bySource: await source.load(read, services, revisions) })

  const varsByService = Map.groupBy(envVars, (item) => item.webServiceId)
  const resolved = new Map<string, Resolution>()
  for (const service of services) {
    const from = async (kind: string) => {
      const found = given.filter((source) => source.kind === kind).flatMap(({ bySource }) => bySource.get(service.id) ?? [])
      const candidates: Candidate[] = []
      // One at a time: the first call reads the organization's key for the others.
      for (const variable of found) candidates.push(await complete(read, service, variable))
      return candidates
    }
    resolved.set(
      service.id,
      resolve({
        environmentType: service.environmentType,
        fallback: fallbackOf(service),
        envVars: (varsByService.get(service.id) ?? []).map(fromEnvVar),
        bindings: bindings.get(service.id) ?? [],
        connections: await from('RESOURCE_CONNECTION'),
        defaults: await from('PLATFORM_DEFAULT'),
      }),
    )
  }
  return resolved
}

async function complete(
  { app, tx }: { app: App; tx: Tx },
  { organizationId, createdAt }: ServiceRow,
  variable: GivenVariable,
): Promise<Candidate> {
  const changedAt = variable.changedAt ?? createdAt
  if (variable.fingerprint !== undefined) return { ...variable, changedAt, fingerprint: variable.fingerprint }
  const value = await openValue({ app, tx }, organizationId, variable.value)
  return {
    ...variable,
    changedAt,
    isShort: isTooShortToRedact(value),
    fingerprint: await app.keyring.fingerprint(tx, organizationId, value),
  }
}

const fromEnvVar = (item: EnvVar): Candidate => ({
  key: item.key,
  source: { kind: 'ENV_VAR', id: item.id, scope: null, version: item.version },
  fingerprint: item.fingerprint,
  isSecret: item.isSecret,
  isShort: item.isShort,
  buildTime: item.buildTime,
  runTime: item.runTime,
  changedAt: item.changedAt,
  changedBy: item.changedBy,
  value: { identity: valueIdentity(item.id), sealed: item.value },
})

type BindingRow = {
  webServiceId: string
  id: string
  alias: string
  key: string
  boundScope: EnvironmentType
  boundAt: Date
  boundBy: string
  secretId: string
  scope: EnvironmentType
  isSecret: boolean
  version: number
  isRevoked: boolean
  fingerprint: string
  isShort: boolean
  writtenAt: Date
  writtenBy: string
  versionId: string
  value: Uint8Array
}

/** Uses one statement, so that a concurrently deleted secret is read with its value or not at all. */
async function readBindings(tx: Tx, serviceIds: readonly string[]): Promise<Map<string, Bound[]>> {
  const found = await rows<BindingRow>(
    tx,
    sql`select b.web_service_id, b.id, b.alias, bs.key, bs.scope::text as bound_scope, b.updated_at as bound_at, b.changed_by as bound_by,
               s.id as secret_id, s.scope::text as scope, s.is_secret, v.version, v.revoked_at is not null as is_revoked, v.fingerprint, v.is_short,
               v.created_at as written_at, v.created_by as written_by, v.id as version_id, v.value
        from secret_binding b join secret bs on bs.id = b.secret_id
        join secret s on s.project_id = bs.project_id and s.key = bs.key
        join secret_version v on v.secret_id = s.id and v.version = s.current_version
        where b.web_service_id = any(${serviceIds}::uuid[]) order by b.id`,
  )
  const bindings = new Map<string, Bound & { rows: ScopedSecret[] }>()
  const byService = new Map<string, Bound[]>()
  for (const item of found) {
    let binding = bindings.get(item.id)
    if (!binding) {
      const { id, alias, key, boundScope, boundAt, boundBy } = item
      binding = { id, alias, key, boundScope, boundAt, boundBy, rows: [] }
      bindings.set(id, binding)
      const list = byService.get(item.webServiceId)
      if (list) list.push(binding)
      else byService.set(item.webServiceId, [binding])
    }
    binding.rows.push({
      id: item.secretId,
      scope: item.scope,
      isSecret: item.isSecret,
      version: item.version,
      isRevoked: item.isRevoked,
      fingerprint: item.fingerprint,
      isShort: item.isShort,
      writtenAt: item.writtenAt,
      writtenBy: item.writtenBy,
      value: { identity: versionIdentity(item.versionId), sealed: item.value },
    })
  }
  return byService
}

/** Opens a value. The caller must have checked that it may be shown. */
export const openValue = async ({ app, tx }: { app: App; tx: Tx }, organizationId: string, value: ValueHandle): Promise<string> =>
  'plain' in value ? value.plain : app.keyring.open(tx, organizationId, value.identity, value.sealed)
