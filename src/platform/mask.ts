/** Shown in place of a secret value. Its length says nothing about the value, and it is not accepted as a value. */
export const mask = '********'
