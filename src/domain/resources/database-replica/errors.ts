import { defineErrors } from '../../../platform/errors.ts'
import { maxReplicas } from './model.ts'

export const replicaErrors = defineErrors({
  replica_limit: { kind: 'unprocessable', text: `A database can have at most ${maxReplicas} replicas.` },
  replica_not_supported: {
    kind: 'unprocessable',
    text: 'The database is on the server of MANAGED_POSTGRES_URL, so Quayside cannot replicate it. Replicate that server instead.',
  },
})
