import { z } from 'zod'
import type { Deployment } from '../../../generated/prisma/client.ts'
import { defineEvent, type EventDefinition, publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'

const failure = z.object({
  phase: z.enum(['PREPARE', 'BUILD', 'RELEASE', 'START', 'VERIFY', 'SWITCH']).describe('Where it happened.'),
  code: z.string().describe('A DeploymentFailureCode.'),
  message: z.string().describe('What happened, for people.'),
  hint: z.string().nullable().describe('What may help.'),
})

const payload = z.object({
  deploymentId: z.string().describe('The deployment.'),
  webServiceId: z.string().describe('Its service.'),
  projectId: z.string().describe("The service's project."),
  number: z.number().int().describe("Counts the service's deployments from 1."),
  kind: z.enum(['DEPLOY', 'REDEPLOY', 'ROLLBACK']).describe('What it is.'),
  status: z
    .enum(['QUEUED', 'RUNNING', 'CANCELLING', 'LIVE', 'SUPERSEDED', 'FAILED', 'CANCELLED', 'SKIPPED'])
    .describe('Its status after the change.'),
  branch: z.string().nullable().describe('The branch.'),
  commitHash: z.string().nullable().describe('The pinned commit.'),
  restoresId: z.string().nullable().describe('Of a rollback: the deployment that it goes back to.'),
  failure: failure.nullable().describe('Why it failed.'),
})
type Payload = z.infer<typeof payload>

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
  queued: deploymentEvent('queued', 'A deployment was asked for and waits for its turn.', { status: 'QUEUED', commitHash: null }),
  started: deploymentEvent('started', 'A deployment began.', { status: 'RUNNING', commitHash: null }),
  succeeded: deploymentEvent('succeeded', 'A deployment went live: its release was seen to answer through the router.', {}),
  failed: deploymentEvent('failed', 'A deployment failed; what ran before goes on running.', {
    status: 'FAILED',
    failure: { phase: 'BUILD', code: 'BUILD_FAILED', message: 'The build command ended with exit code 1.', hint: null },
  }),
  cancelled: deploymentEvent('cancelled', 'A deployment was cancelled.', { status: 'CANCELLED' }),
  skipped: deploymentEvent('skipped', 'A waiting deployment was displaced by a newer one.', { status: 'SKIPPED', commitHash: null }),
  superseded: deploymentEvent('superseded', 'A live deployment was followed by a newer one.', { status: 'SUPERSEDED' }),
  rolledBack: deploymentEvent('rolled_back', 'A rollback went live; told beside `deployment.succeeded`, of the same deployment.', {
    kind: 'ROLLBACK',
    restoresId: 'dep_01h455vb4pex5vsknk084sn02r',
  }),
} satisfies Record<string, EventDefinition<Payload>>

/** Publishes an event of a deployment, as its row is now. */
export function announce(work: Work, event: EventDefinition<Payload>, deployment: Deployment, projectId: string): Promise<unknown> {
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
