import { defineErrors } from '../../../platform/errors.ts'

export const roleErrors = defineErrors({
  name_taken: { kind: 'conflict', text: 'The organization already has a role with this name.' },
  system_role: { kind: 'unprocessable', text: 'System roles cannot be changed or deleted. Create a custom role instead.' },
  role_in_use: { kind: 'conflict', text: 'Members or pending invitations have this role. Give them another role first.' },
})
