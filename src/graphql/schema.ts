/** The GraphQL schema: one import for each concept's types, from the ground floor up. Nothing else belongs here. */
import { type GraphQLSchema, lexicographicSortSchema, printSchema as print } from 'graphql'
import '../domain/access/organization/graphql.ts'
import '../domain/access/mail/graphql.ts'
import '../domain/access/user/graphql.ts'
import '../domain/access/api-key/graphql.ts'
import '../domain/access/operation/graphql.ts'
import '../domain/apps/server/graphql.ts'
import '../domain/apps/project/graphql.ts'
import '../domain/apps/environment/graphql.ts'
import '../domain/apps/web-service/graphql.ts'
import '../domain/configuration/variable/graphql.ts'
import '../domain/configuration/env-var/graphql.ts'
import '../domain/configuration/secret/graphql.ts'
import '../domain/configuration/secret-binding/graphql.ts'
import '../domain/configuration/resolution/graphql.ts'
import '../domain/deploys/log/graphql.ts'
import '../domain/deploys/instance/graphql.ts'
import '../domain/deploys/deployment/graphql.ts'
import '../domain/deploys/deployment/graphql-config.ts'
import '../domain/deploys/deployment/graphql-live.ts'
import '../domain/resources/resource/graphql.ts'
import '../domain/resources/resource/graphql-live.ts'
import '../domain/resources/resource-binding/graphql.ts'
import '../domain/resources/database/graphql.ts'
import '../domain/resources/backup/graphql.ts'
import '../domain/resources/redis/graphql.ts'
import '../domain/resources/storage/graphql.ts'
import '../domain/resources/storage/graphql-key.ts'
import '../domain/webhooks/event-type/graphql.ts'
import '../domain/webhooks/endpoint/graphql.ts'
import '../domain/webhooks/message/graphql.ts'
import '../domain/webhooks/delivery/graphql.ts'
import '../domain/webhooks/attempt/graphql.ts'
import '../domain/webhooks/attempt/graphql-live.ts'
import { builder, checkPages } from './builder/index.ts'

export const schema: GraphQLSchema = checkPages(builder.toSchema({ sortSchema: false }))

/** Configures @graphql-eslint's Relay rules, one of which would otherwise require every list to be edges. The schema has plain lists too. */
const lint = '# eslint @graphql-eslint/relay-edge-types: ["error", { "listTypeCanWrapOnlyEdgeType": false }]'

/** The sorted SDL that is committed as schema.graphql. */
export const printSchema = (): string => `${lint}\n${print(lexicographicSortSchema(schema))}\n`
