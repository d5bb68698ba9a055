import { z } from 'zod'
import type { Deployment } from '../../../generated/prisma/client.ts'
import { defineEvent, type EventDefinition, publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { deploymentStatuses } from './model.ts'

const failure = z.object({
  phase: z.enum(['PREPARE', 'BUILD', 'RELEASE', 'START', 'VERIFY', 'SWITCH']).describe('Phase in which the deployment failed.'),
  code: z.string().describe('Machine-readable reason, one of the values of `DeploymentFailureCode`.'),
  message: z.string().describe('Human-readable reason.'),
  hint: z.string().nullable().describe('Suggestion for resolving the failure.'),
})

const payload = z.object({
  deploymentId: z.string().describe('ID of the deployment.'),
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  number: z.number().int().describe('Number of the deployment, starting at 1 for each service.'),
  kind: z.enum(['DEPLOY', 'REDEPLOY', 'ROLLBACK']).describe('Kind of the deployment.'),
  status: z.enum(deploymentStatuses).describe('Status of the deployment after the change.'),
  branch: z.string().nullable().describe('Deployed branch.'),
  commitHash: z.string().nullable().describe('Hash of the deployed commit. Null before the phase `PREPARE` has ended.'),
  restoresId: z.string().nullable().describe('ID of the deployment that a rollback restores. Null for other kinds.'),
  failure: failure.nullable().describe('Reason for the failure. Null unless the deployment failed.'),
})
type Payload = z.infer<typeof payload>
export type DeploymentEvent = EventDefinition<Payload>

const sample: Payload = {
  deploymentId: 'dep_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  number: 7,
  kind: 'DEPLOY',
  status: 'LIVE',
  branch: 'main',
  commitHash: '4b825dc642cb6eb9a060e54bf8d69288fbee4904',
  restoresId: null,
  failure: null,
}

const deploymentEvent = (name: string, description: string, change: Partial<Payload>) =>
  defineEvent({
    type: `deployment.${name}`,
    version: 1,
    description,
    subject: 'Deployment',
    schema: payload,
    sample: { ...sample, ...change },
  })

export const deploymentEvents = {
  queued: deploymentEvent('queued', 'A deployment was queued.', { status: 'QUEUED', commitHash: null }),
  started: deploymentEvent('started', 'A deployment started.', { status: 'RUNNING', commitHash: null }),
  succeeded: deploymentEvent('succeeded', 'A deployment went live. Its release has answered through the router.', {}),
  failed: deploymentEvent('failed', 'A deployment failed. The previous release, if any, keeps running.', {
    status: 'FAILED',
    failure: { phase: 'BUILD', code: 'BUILD_FAILED', message: 'The build command exited with code 1: npm run build', hint: null },
  }),
  cancelled: deploymentEvent('cancelled', 'A deployment was cancelled.', { status: 'CANCELLED' }),
  skipped: deploymentEvent('skipped', 'A queued deployment was skipped because a newer one replaced it.', {
    status: 'SKIPPED',
    commitHash: null,
  }),
  superseded: deploymentEvent('superseded', 'A live deployment was replaced by a newer one.', { status: 'SUPERSEDED' }),
  rolledBack: deploymentEvent('rolled_back', 'A rollback went live. Sent in addition to `deployment.succeeded` for the same deployment.', {
    kind: 'ROLLBACK',
    restoresId: 'dep_01h455vb4pex5vsknk084sn02r',
  }),
} satisfies Record<string, DeploymentEvent>

export const allDeploymentEvents: readonly EventDefinition[] = Object.values(deploymentEvents)

/** Publishes an event with the current state of a deployment of this project. */
export function publishInProject(work: Work, event: DeploymentEvent, deployment: Deployment, projectId: string): Promise<unknown> {
  return publish(work, event, {
    subjectId: deployment.id,
    projectId,
    data: {
      deploymentId: encodeId('Deployment', deployment.id),
      webServiceId: encodeId('WebService', deployment.webServiceId),
      projectId: encodeId('Project', projectId),
      number: deployment.number,
      kind: deployment.kind,
      status: deployment.status,
      branch: deployment.branch,
      commitHash: deployment.commitHash,
      restoresId: deployment.restoresId && encodeId('Deployment', deployment.restoresId),
      failure:
        deployment.failurePhase && deployment.failureCode
          ? {
              phase: deployment.failurePhase,
              code: deployment.failureCode,
              message: deployment.failureMessage ?? '',
              hint: deployment.failureHint,
            }
          : null,
    },
  })
}
