import { defineErrors } from '../../../platform/errors.ts'

export const userErrors = defineErrors({
  password_too_common: { kind: 'unprocessable', text: 'The password is easy to guess. Choose another one.' },
  user_deactivated: { kind: 'forbidden', text: 'This account was deactivated. Ask an administrator of the installation.' },
  last_administrator: {
    kind: 'conflict',
    text: 'The installation must have at least one administrator who is not deactivated. Make another user an administrator first.',
  },
  wrong_password: { kind: 'forbidden', text: 'The current password is wrong.' },
})
