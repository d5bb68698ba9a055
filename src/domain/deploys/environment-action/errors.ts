import { defineErrors } from '../../../platform/errors.ts'

export const environmentActionErrors = defineErrors({
  task_in_progress: {
    kind: 'conflict',
    text: 'Another action or a deployment is in progress in this environment. Wait for it to end, or cancel it.',
  },
  no_web_service: { kind: 'unprocessable', text: 'The environment has no web service.' },
  nothing_to_deploy: { kind: 'unprocessable', text: 'No web service of the environment has a repository.' },
  nothing_to_start: { kind: 'unprocessable', text: 'No web service of the environment has a live deployment.' },
  no_odoo_service: { kind: 'unprocessable', text: 'The environment has no Odoo service, and only Odoo services have modules.' },
})
