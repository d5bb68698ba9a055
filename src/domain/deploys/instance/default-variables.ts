/** The variables that Quayside gives builds, release commands and instances, as a source of the resolver. */
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { GivenVariable, Revision, VariableSource } from '../../configuration/resolution/index.ts'
import { platformVariables } from './model.ts'

/** Different for each deployment: they are no change of configuration. */
export const deploymentKeys: ReadonlySet<string> = new Set(['QUAYSIDE_DEPLOYMENT_ID', 'QUAYSIDE_GIT_COMMIT', 'QUAYSIDE_GIT_BRANCH'])

const given = (key: string, plain: string, buildTime = true): GivenVariable => ({
  key,
  source: { kind: 'PLATFORM_DEFAULT', id: null, scope: null, version: null },
  isSecret: false,
  isShort: false,
  buildTime,
  runTime: true,
  changedAt: null,
  changedBy: null,
  value: { plain },
})

export const defaultVariables: VariableSource = {
  kind: 'PLATFORM_DEFAULT',
  async load({ tx }, services, revisions) {
    const others = services.filter(({ id }) => !revisions.has(id)).map(({ id }) => id)
    const live = others.length
      ? await rows<Revision & { webServiceId: string }>(
          tx,
          sql`select web_service_id, id as deployment_id, commit_hash, branch from deployment
              where web_service_id = any(${others}::uuid[]) and status = 'LIVE'`,
        )
      : []
    const byService = new Map<string, Revision>([...revisions, ...live.map((item) => [item.webServiceId, item] as const)])
    return new Map(
      services.map((service) => {
        const revision = byService.get(service.id)
        const variables = platformVariables({
          serviceId: encodeId('WebService', service.id),
          serviceName: service.name,
          serviceSlug: service.slug,
          deploymentId: revision ? encodeId('Deployment', revision.deploymentId) : null,
          environmentName: service.environmentName,
          environmentType: service.environmentType,
          commitHash: revision?.commitHash ?? null,
          branch: revision?.branch ?? null,
        })
        // Not for builds: their tools stand among the development dependencies, which it would leave out.
        const nodeEnv = given('NODE_ENV', 'production', false)
        return [service.id, [...Object.entries(variables).map(([key, value]) => given(key, value)), nodeEnv]]
      }),
    )
  },
}
