/** Actions on an environment. Each is answered at once and followed by its task. */
import { z } from 'zod'
import { runEnvironmentAction } from '../../../domain/deploys/environment-action/index.ts'
import { commandRow, type Route, type Sources } from '../../core/index.ts'
import { actionBody, taskSchemas } from '../task-bodies.ts'
import { updateModes } from '../vocabulary.ts'

type Row = {
  id: string
  name: string
  alias?: string
  summary: string
  description: string
  action: string
  body?: Sources
}

const place = '/environments/{environment_id}'

const busy = 'Fails with `task_in_progress` while another task of the environment is in progress.'

const updateModules: Sources = {
  update_modules: {
    to: 'updateModules',
    description:
      'Whether all installed modules of Odoo services are updated. By default, those are updated whose files have changed. Has no effect on other services.',
  },
}

const actionRow = ({ name, alias, description, action, ...row }: Row): Route =>
  commandRow({
    ...row,
    method: 'POST',
    path: `${place}/actions/${name}`,
    aliases: [name, ...(alias ? [alias] : [])].map((each) => `${place}/${each}`),
    tag: 'Actions',
    description: `${description} ${busy}`,
    command: runEnvironmentAction,
    params: { environment_id: 'environmentId' },
    fixed: { action },
    status: 202,
    schema: taskSchemas.action,
    reply: ({ operation }) => actionBody(operation),
  })

export const actionRoutes: Route[] = [
  actionRow({
    id: 'deployEnvironment',
    name: 'deploy',
    summary: 'Deploy an environment',
    description: 'Deploys the newest commit of the branch of each service or, if one is given, a branch, tag or commit.',
    action: 'DEPLOY',
    body: {
      branch: 'branch',
      tag: { to: 'commit', description: 'Tag to deploy.' },
      commit: { to: 'commit', description: 'Hash of the commit to deploy, possibly abbreviated. Takes precedence over `tag`.' },
      ...updateModules,
    },
  }),
  actionRow({
    id: 'redeployEnvironment',
    name: 'redeploy',
    summary: 'Redeploy an environment',
    description: 'Builds and deploys the same commit of each service again, with the current configuration.',
    action: 'REDEPLOY',
    body: updateModules,
  }),
  actionRow({
    id: 'startEnvironment',
    name: 'start',
    summary: 'Start an environment',
    description: 'Starts all services that have been deployed. The task is complete when they are observed running.',
    action: 'START',
  }),
  actionRow({
    id: 'stopEnvironment',
    name: 'stop',
    summary: 'Stop an environment',
    description: 'Stops all services. The task is complete when they are observed stopped.',
    action: 'STOP',
  }),
  actionRow({
    id: 'restartEnvironment',
    name: 'restart',
    summary: 'Restart an environment',
    description:
      'Restarts all services that have been deployed. New instances are started before the old ones are stopped, unless a service has a disk.',
    action: 'RESTART',
  }),
  actionRow({
    id: 'updateModules',
    name: 'update-modules',
    alias: 'quick-update',
    summary: 'Update modules of Odoo services',
    description:
      'Deploys the newest commit of each Odoo service, and updates its modules. If the update fails, the database is restored, and the former release serves again. Fails with status 422 if the environment has no Odoo service.',
    action: 'UPDATE_MODULES',
    body: {
      mode: {
        to: 'mode',
        words: updateModes,
        schema: z.enum(Object.values(updateModes) as [string, ...string[]]),
        description: 'What is updated.',
      },
      modules: {
        to: 'modules',
        description: 'Technical names of the modules, for the modes `update_specific` and `reinitialize_specific`.',
      },
    },
  }),
]
