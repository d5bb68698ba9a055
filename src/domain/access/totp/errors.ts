import { defineErrors } from '../../../platform/errors.ts'

export const totpErrors = defineErrors({
  totp_enabled: { kind: 'conflict', text: 'One-time passwords are already enabled. Disable them first.' },
  totp_not_enabled: { kind: 'conflict', text: 'One-time passwords are not enabled.' },
  totp_not_set_up: { kind: 'conflict', text: 'One-time passwords are not set up. Call setUpTotp first.' },
  wrong_code: { kind: 'forbidden', text: 'The code is wrong, or was used before.' },
})
