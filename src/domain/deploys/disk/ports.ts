/** What disks need from the place where instances run. */
import type { Readable } from 'node:stream'
import { definePort } from '../../../platform/port.ts'

/** A disk as an instance gets it. */
export type DiskMount = {
  diskId: string
  /** Absolute. */
  mountPath: string
  /** Name of the variable that gets the path of the disk as the instance sees it. */
  variable: string
  /** Applies where the driver can enforce it. */
  readOnly: boolean
}

/** `DISK_IN_USE`: an instance has the disk, or it is being removed. `ARCHIVE_REJECTED`: it cannot be read, or contains a device. */
export type DiskFailureCode = 'DISK_IN_USE' | 'DISK_NOT_EMPTY' | 'ARCHIVE_REJECTED' | 'NO_CAPACITY'

/**
 * The data of disks, which is kept until `removeDisk`, whatever happens to instances, releases and services. A disk comes into being when an
 * instance first starts with it. At most one instance has a disk at a time, whichever processes of the control plane start them. Failures are
 * PortError<DiskFailureCode>.
 */
export interface DiskStore {
  /** Bytes that disks occupy, by id. A disk without data is absent. Throws `signal.reason`. */
  measureDisks(diskIds: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, number>>
  /** Removes a disk and its data, if it exists. Interrupted, it can be repeated. Throws DISK_IN_USE while an instance has it. */
  removeDisk(diskId: string): Promise<void>
  /** The content as a tar archive, also while an instance writes to it. Symbolic links are not followed. Errors are emitted by the stream. */
  readDisk(diskId: string): Promise<Readable>
  /**
   * Fills an empty disk, or one that does not exist, with an archive of `readDisk`: all of it or nothing. Whatever the archive contains,
   * nothing outside the disk is written. Files get the owner that instances' own files have. Throws DISK_NOT_EMPTY, DISK_IN_USE or
   * ARCHIVE_REJECTED.
   */
  writeDisk(diskId: string, archive: Readable): Promise<void>
  /**
   * Keeps the present files of a disk under an ID, until it is removed, and replaces what has that ID. Files are not copied, so that a snapshot
   * takes no space, and shows what is changed within a file later; it does not show what is added, replaced or removed. Interrupted, it can be
   * repeated. Throws DISK_IN_USE while an instance has the disk.
   */
  snapshotDisk(diskId: string, snapshotId: string): Promise<void>
  /**
   * Replaces the content of a disk with a snapshot, which no longer exists afterwards. Returns false, without a change, if there is none.
   * Interrupted, it can be repeated. Throws DISK_IN_USE.
   */
  restoreDisk(diskId: string, snapshotId: string): Promise<boolean>
  /** Removes a snapshot, if it exists. */
  removeDiskSnapshot(diskId: string, snapshotId: string): Promise<void>
}

export const diskStore = definePort<DiskStore>('disk store')
