import { defineErrors } from '../../../platform/errors.ts'

export const userErrors = defineErrors({
  password_too_common: { kind: 'unprocessable', text: 'The password is easy to guess. Choose another one.' },
  wrong_password: { kind: 'forbidden', text: 'The current password is wrong.' },
})
