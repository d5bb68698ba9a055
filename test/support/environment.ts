/** Environments with services whose pipeline does not run: tests bring deployments and services to the state that they need. */
import { createProject } from '../../src/domain/apps/project/index.ts'
import { createWebService } from '../../src/domain/apps/web-service/index.ts'
import type { Caller } from '../../src/platform/access.ts'
import { execute } from '../../src/platform/command.ts'
import { row, run, sql } from '../../src/platform/db/index.ts'
import { encodeId } from '../../src/platform/id.ts'
import type { App } from '../../src/platform/work.ts'
import { request } from './tenant.ts'

export type Shop = { environmentId: string; projectId: string; services: { id: string; name: string }[] }

/** An environment with services that have a repository, unless their name says otherwise. */
export async function createShop(app: App, caller: Caller, ...names: string[]): Promise<Shop> {
  const { project } = await execute(request(app, caller), createProject, { name: 'Shop' })
  const environment = await row<{ id: string }>(app.db, sql`select id from environment where project_id = ${project.id}::uuid`)
  const services = []
  for (const name of names) {
    const repository = name.startsWith('empty') ? {} : { repositoryUrl: 'file:///shop' }
    const input = { projectId: encodeId('Project', project.id), name, ...repository }
    const { webService } = await execute(request(app, caller), createWebService, input)
    services.push({ id: webService.id, name })
  }
  return { environmentId: environment!.id, projectId: project.id, services }
}

/** Brings deployments of services to a status, as a worker would. */
export async function become({ db }: App, status: 'RUNNING' | 'LIVE' | 'FAILED', ...serviceIds: string[]): Promise<void> {
  const which = sql`web_service_id = any(${serviceIds}::uuid[]) and status in ('QUEUED', 'RUNNING', 'CANCELLING')`
  // A deployment that fails does so in its second phase, and never reaches those after it.
  const done = { RUNNING: 2, LIVE: 6, FAILED: 1 }[status]
  await run(
    db,
    sql`update deployment_step p set started_at = case when n.n <= ${done} or n.n = 2 then app_now() end,
          status = case when n.n <= ${done} then 'SUCCEEDED' when ${status} <> 'FAILED' then 'PENDING' when n.n = 2 then 'FAILED' else 'SKIPPED' end::step_status
        from unnest(enum_range(null::deployment_phase)) with ordinality as n(phase, n)
        where p.phase = n.phase and p.status = 'PENDING' and p.deployment_id in (select id from deployment where ${which})`,
  )
  await run(
    db,
    sql`update deployment set status = ${status}::deployment_status, version = version + 1, phase = ${{ RUNNING: 'RELEASE', LIVE: 'SWITCH', FAILED: 'BUILD' }[status]}::deployment_phase,
          started_at = app_now(), commit_hash = repeat('a', 40), release_digest = 'sha256:' || id,
          live_at = ${status === 'LIVE' ? sql`app_now()` : sql`null`}, finished_at = ${status === 'RUNNING' ? sql`null` : sql`app_now()`},
          failure_phase = ${status === 'FAILED' ? 'BUILD' : null}::deployment_phase,
          failure_code = ${status === 'FAILED' ? 'BUILD_FAILED' : null}::deployment_failure_code,
          failure_message = ${status === 'FAILED' ? 'The build command exited with code 1.' : null}
        where ${which}`,
  )
}

/** What the reconciler would observe. */
export const observe = ({ db }: App, status: string, ...serviceIds: string[]) =>
  run(db, sql`update service_runtime set status = ${status}::runtime_status where web_service_id = any(${serviceIds}::uuid[])`)
