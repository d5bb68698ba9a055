-- AlterTable
ALTER TABLE "passkey" ADD COLUMN     "version" INTEGER NOT NULL DEFAULT 1;

-- AlterTable
ALTER TABLE "ssh_key" ADD COLUMN     "version" INTEGER NOT NULL DEFAULT 1;
