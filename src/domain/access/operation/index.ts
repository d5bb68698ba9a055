/** Long work that a command starts and its caller polls for. What an operation does is declared by the concept whose command starts it. */
export { type NewOperation, startOperation } from './commands.ts'
export { defineOperation, type OperationStep, type RunStep } from './model.ts'
export { findOperation } from './queries.ts'
