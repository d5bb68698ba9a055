import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  type InputBuilder,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Operation } from '../../access/operation/graphql.ts'
import { acceptServerHostKey, createServer, deleteServer, updateServer, validateServer } from './commands.ts'
import type { SshFailureCode } from './ports.ts'
import { countServers, findServer, listServers, serverListing } from './queries.ts'

const ServerStatus = enumType('ServerStatus', 'Status of a server.', {
  PENDING: 'New or changed. The validation begins as soon as a worker is free.',
  VALIDATING: 'Being validated.',
  ACTIVE: 'Validated. Checked regularly; see `lastSeenAt`.',
  ERROR: 'Could not be validated, or was lost. See `failureCode` and `statusMessage`. It is checked again at growing intervals.',
  REMOVING: 'Being removed.',
})

const ServerAuthMethod = enumType('ServerAuthMethod', 'How Quayside logs in to a server.', {
  PASSWORD: 'With a password, also by keyboard-interactive authentication.',
  PRIVATE_KEY: 'With a private key.',
})

const failures = {
  BLOCKED: '`EGRESS_ALLOW` does not allow connections to the address.',
  NAME_UNKNOWN: 'The host name has no address.',
  CONNECTION_REFUSED: 'Nothing listens on the port.',
  UNREACHABLE: 'There was no connection, or it was interrupted.',
  TIMEOUT: 'The server did not respond in time.',
  NOT_SSH: 'What listens on the port is not an SSH server.',
  NO_COMMON_ALGORITHM: 'The server offers only algorithms that are not accepted.',
  HOST_KEY_CHANGED: 'The server has another host key than the pinned one. No credentials were sent. See `acceptServerHostKey`.',
  LOGIN_REFUSED: 'The server did not accept the credential.',
  NO_SHELL: 'The account cannot run commands.',
} satisfies Record<SshFailureCode, string>

const ServerFailureCode = enumType('ServerFailureCode', 'Reason why a server cannot be used.', failures)

/** Facts of a server have this in common. */
const unknown = 'Null until the server was validated, or if it does not say.'

export const Server = builder.prismaObject('Server', {
  description:
    'A machine. Builds and instances run on the server `local`. Other servers are registered, validated and watched over SSH; nothing can be placed on them yet.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:servers',
  fields: (t) => ({
    id: t.id(idField('Server')),
    name: t.exposeString('name', { description: 'Name of the server.' }),
    kind: t.exposeString('kind', {
      description: 'Kind of the server. `local` is the machine that runs Quayside, `ssh` one that is reached over SSH.',
    }),
    host: t.exposeString('host', { nullable: true, description: 'Host name or address. Null for the local server.' }),
    port: t.exposeInt('port', { nullable: true, description: 'Port of the SSH server. Null for the local server.' }),
    sshUser: t.exposeString('sshUser', { nullable: true, description: 'Name of the account. Null for the local server.' }),
    authMethod: t.expose('authMethod', {
      type: ServerAuthMethod,
      nullable: true,
      description: 'How Quayside logs in. Null for the local server.',
    }),
    status: t.expose('status', { type: ServerStatus, description: 'Status of the server.' }),
    failureCode: t.field({
      type: ServerFailureCode,
      nullable: true,
      description: 'Machine-readable reason for the status `ERROR`. Null with other statuses.',
      select: { failureCode: true },
      resolve: ({ failureCode }) => failureCode as SshFailureCode | null,
    }),
    statusMessage: t.exposeString('statusMessage', {
      nullable: true,
      description: 'Reason for the status `ERROR`, and what to do. Null with other statuses.',
    }),
    cpuCores: t.exposeInt('cpuCores', { nullable: true, description: `Number of CPU cores. ${unknown}` }),
    ramTotalBytes: t.exposeFloat('ramTotalBytes', { nullable: true, description: `Size of the memory in bytes. ${unknown}` }),
    diskTotalBytes: t.exposeFloat('diskTotalBytes', {
      nullable: true,
      description: `Size in bytes of the disk with the root directory, and for the local server of the disk with DATA_DIR. ${unknown}`,
    }),
    diskFreeBytes: t.exposeFloat('diskFreeBytes', { nullable: true, description: `Free space on that disk in bytes. ${unknown}` }),
    osName: t.exposeString('osName', {
      nullable: true,
      description: `Name of the operating system, such as \`Debian GNU/Linux\`. ${unknown}`,
    }),
    osVersion: t.exposeString('osVersion', { nullable: true, description: `Version of the operating system, such as \`12\`. ${unknown}` }),
    kernel: t.exposeString('kernel', { nullable: true, description: `Name and version of the kernel. ${unknown}` }),
    architecture: t.exposeString('architecture', { nullable: true, description: `Architecture, such as \`x86_64\`. ${unknown}` }),
    hostKeyType: t.exposeString('hostKeyType', {
      nullable: true,
      description: 'Algorithm of the pinned host key, such as `ssh-ed25519`. Null until it was seen, and for the local server.',
    }),
    hostKeyFingerprint: t.exposeString('hostKeyFingerprint', {
      nullable: true,
      description:
        'Fingerprint of the pinned host key: `SHA256:` and the hash in base64. It is pinned when it is first seen. Null until then, and for the local server.',
    }),
    presentedHostKeyType: t.exposeString('presentedHostKeyType', {
      nullable: true,
      description: 'Algorithm of the host key that the server presented instead of the pinned one. Null if it presented no other.',
    }),
    presentedHostKeyFingerprint: t.exposeString('presentedHostKeyFingerprint', {
      nullable: true,
      description:
        'Fingerprint of the host key that the server presented instead of the pinned one, and with which it was refused. Null if it presented no other.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when a check of the server last succeeded. Null if none has.',
    }),
    validatedAt: t.expose('validatedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the present connection was first validated. Null if it was not, and for the local server.',
    }),
    lostAt: t.expose('lostAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time since which a validated server is lost. Null if it is not.',
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(Server, serverListing), { list: listServers, count: countServers })

builder.queryField('server', (t) =>
  t.field({
    type: Server,
    nullable: true,
    description: findServer.description,
    args: { id: t.arg.id({ required: true, description: 'ID of the server.' }) },
    resolve: (_root, args, context, info) => context.call(findServer, args, columnsOf(info, 'Server')),
  }),
)

const texts = {
  name: 'Name of the server, from 1 to 100 characters, unique in the organization.',
  host: 'Host name or IP address. Private addresses are allowed only if `EGRESS_ALLOW` names them.',
  port: 'Port of the SSH server, from 1 to 65535.',
  sshUser: 'Name of the account, from 1 to 100 characters.',
  authMethod: 'How Quayside logs in.',
  sshPassword: 'Password, with `PASSWORD`: from 1 to 1000 characters. It is stored encrypted and never returned.',
  sshPrivateKey:
    'Private key, with `PRIVATE_KEY`: in OpenSSH or PEM format and without a passphrase. It is stored encrypted and never returned.',
}

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the server.' }) })

mutation(createServer, {
  input: (t) => ({
    name: t.string({ required: true, description: texts.name }),
    host: t.string({ required: true, description: texts.host }),
    port: t.int({ defaultValue: 22, description: texts.port }),
    sshUser: t.string({ required: true, description: texts.sshUser }),
    authMethod: t.field({ type: ServerAuthMethod, required: true, description: texts.authMethod }),
    sshPassword: t.string({ description: texts.sshPassword }),
    sshPrivateKey: t.string({ description: texts.sshPrivateKey }),
  }),
  payload: payloadOf('server', Server, 'The registered server.'),
})

mutation(updateServer, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    name: t.string({ description: texts.name }),
    host: t.string({ description: `${texts.host} Another host requires the credential.` }),
    port: t.int({ description: `${texts.port} Another port requires the credential.` }),
    sshUser: t.string({ description: texts.sshUser }),
    authMethod: t.field({ type: ServerAuthMethod, description: `${texts.authMethod} Required with a new credential.` }),
    sshPassword: t.string({ description: texts.sshPassword }),
    sshPrivateKey: t.string({ description: texts.sshPrivateKey }),
  }),
  payload: payloadOf('server', Server, 'The updated server.'),
})

mutation(validateServer, {
  versioned: true,
  input: idInput,
  payload: (t) => ({
    server: t.field({ type: Server, description: 'The server.', resolve: ({ server }) => server }),
    operation: t.field({ type: Operation, description: 'Operation that ends with the validation.', resolve: ({ operation }) => operation }),
  }),
})

mutation(deleteServer, {
  versioned: true,
  input: idInput,
  payload: (t) => ({
    deletedId: t.id({
      description: 'ID of the server, which is being removed.',
      resolve: ({ deletedId }) => encodeId('Server', deletedId),
    }),
    operation: t.field({ type: Operation, description: 'Operation that removes the server.', resolve: ({ operation }) => operation }),
  }),
})

mutation(acceptServerHostKey, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    fingerprint: t.string({ required: true, description: 'Fingerprint of the host key to pin, as in `presentedHostKeyFingerprint`.' }),
  }),
  payload: payloadOf('server', Server, 'The server, which is validated again.'),
})
