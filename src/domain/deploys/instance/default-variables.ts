/** Variables that Quayside sets for builds, release commands and instances, as a source for the resolver. */
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { GivenVariable, Revision, VariableSource } from '../../configuration/resolution/index.ts'
import { platformVariables } from './model.ts'

/** Keys whose values differ between deployments. Their changes are not changes of the configuration. */
export const deploymentKeys: ReadonlySet<string> = new Set(['QUAYSIDE_DEPLOYMENT_ID', 'QUAYSIDE_GIT_COMMIT', 'QUAYSIDE_GIT_BRANCH'])

const variable = (key: string, plain: string, buildTime = true): GivenVariable => ({
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
        // Not for builds: with it, package managers omit development dependencies, which include build tools.
        const nodeEnv = variable('NODE_ENV', 'production', false)
        return [service.id, [...Object.entries(variables).map(([key, value]) => variable(key, value)), nodeEnv]]
      }),
    )
  },
}
