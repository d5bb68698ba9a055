-- AlterTable
ALTER TABLE "backup" ADD COLUMN     "wal_kept" BOOLEAN NOT NULL DEFAULT true;
