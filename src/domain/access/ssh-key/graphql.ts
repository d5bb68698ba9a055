import { builder, columnsOf, idField, loadRows, mutation, Node, payloadOf, versionFields } from '../../../graphql/builder/index.ts'
import { demandSelf } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { User } from '../user/graphql.ts'
import { addSshKey, deleteSshKey, generateSshKey } from './commands.ts'
import type { SshKeyRow } from './model.ts'
import { keysByUser } from './queries.ts'

export const SshKey = builder.prismaObject('SshKey', {
  description: 'SSH key of a user.',
  interfaces: [Node],
  select: { id: true },
  fields: (t) => ({
    id: t.id(idField('SshKey')),
    label: t.exposeString('label', { description: 'Label of the key.' }),
    keyType: t.exposeString('keyType', { description: 'Algorithm of the key, such as `ssh-ed25519`.' }),
    publicKey: t.exposeString('publicKey', { description: 'Public key in OpenSSH format, without a comment.' }),
    fingerprint: t.exposeString('fingerprint', { description: 'Fingerprint of the public key: `SHA256:` and the hash in base64.' }),
    hasPrivateKey: t.boolean({
      description: 'Whether Quayside has the private key, so that web services can be deployed with it.',
      extensions: { columns: ['hasPrivateKey'] },
      resolve: (key) => (key as unknown as SshKeyRow).hasPrivateKey,
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when a deployment last used the key, accurate to the minute. Null if none has.',
    }),
    ...versionFields(t),
  }),
})

builder.prismaObjectField(User, 'sshKeys', (t) =>
  t.field({
    type: [SshKey],
    extensions: { rows: 5 },
    description: 'SSH keys of the user, oldest first. Fails with `forbidden` unless the user is the caller.',
    resolve: (user, _args, context, info) => {
      demandSelf(context.caller, user.id)
      return loadRows(context, 'User.sshKeys', user.id, columnsOf(info, 'SshKey'), keysByUser)
    },
  }),
)

mutation(addSshKey, {
  input: (t) => ({
    label: t.string({ required: true, description: 'Label of the key, from 1 to 100 characters.' }),
    publicKey: t.string({
      required: true,
      description: 'Public key in OpenSSH format: Ed25519, ECDSA, or RSA with at least 2048 bits.',
    }),
    privateKey: t.string({
      description:
        'Private key of `publicKey`, in OpenSSH or PEM format and without a passphrase. It is stored encrypted and never returned. When omitted, services cannot be deployed with the key.',
    }),
  }),
  payload: payloadOf('sshKey', SshKey, 'The added key.'),
})

mutation(generateSshKey, {
  input: (t) => ({ label: t.string({ required: true, description: 'Label of the key, from 1 to 100 characters.' }) }),
  payload: payloadOf('sshKey', SshKey, 'The generated key.'),
})

mutation(deleteSshKey, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the key.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted key.', resolve: (result) => encodeId('SshKey', result.deletedId) }),
  }),
})
