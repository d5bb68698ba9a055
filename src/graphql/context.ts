export { createGraphqlContext, type GraphqlContext } from './builder/context.ts'
