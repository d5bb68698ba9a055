import { defineErrors } from '../../../platform/errors.ts'

export const serverErrors = defineErrors({
  server_name_taken: { kind: 'conflict', text: 'The organization already has a server with this name.' },
  server_is_local: {
    kind: 'unprocessable',
    text: 'This server is the machine that runs Quayside. It has no connection, and cannot be deleted.',
  },
  host_key_not_presented: {
    kind: 'conflict',
    text: 'The server did not present a host key with this fingerprint. See presentedHostKeyFingerprint.',
  },
  placement_unsupported: {
    kind: 'unprocessable',
    text: 'Services run only on the local server. Other servers can be registered and watched, but nothing can be placed on them yet.',
  },
})
