/** Name of the command and of its operation. */
export const operationName = 'deleteOrganization'
