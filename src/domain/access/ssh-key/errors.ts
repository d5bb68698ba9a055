import { defineErrors } from '../../../platform/errors.ts'

export const sshKeyErrors = defineErrors({
  ssh_key_taken: { kind: 'conflict', text: 'You have already added this SSH key.' },
  too_many_ssh_keys: { kind: 'unprocessable', text: 'You have as many SSH keys as are allowed. Delete one first.' },
  no_private_key: {
    kind: 'unprocessable',
    text: 'Quayside does not have the private key of this SSH key, so it cannot be used for deployments. Add the key with its private key, or generate one.',
  },
})
