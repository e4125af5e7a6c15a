#!/bin/sh
# Installs and starts a Slurm of this one machine, without systemd, accounts or cgroups; exit code 77 where that cannot be.
set -eu
cannot() { echo "Slurm cannot be installed here: $1"; exit 77; }
[ "$(id -u)" = 0 ] || cannot "only root can"
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
	command -v apt-get >/dev/null || cannot "there is no apt-get, so this is not Debian or Ubuntu"
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends slurm-wlm munge; } \
		>&2 || cannot "apt-get could not get slurm-wlm and munge"
fi
[ ! -e /etc/slurm/slurm.conf ] || grep -q '^ClusterName=one$' /etc/slurm/slurm.conf \
	|| cannot "/etc/slurm/slurm.conf belongs to another cluster"
host=$(hostname -s)
memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
mkdir -p /etc/slurm
cat > /etc/slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0
EnforcePartLimits=ALL
ReturnToService=2
MinJobAge=3600
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=/var/log/slurm/jobcomp.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) RealMemory=$memory State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
install -d -o munge -g munge -m 0755 /run/munge
install -d -o slurm -g slurm -m 0755 /var/spool/slurmctld /var/log/slurm
install -d -m 0755 /var/spool/slurmd
pgrep -x munged >/dev/null || su -s /bin/sh munge -c /usr/sbin/munged
pgrep -x slurmctld >/dev/null || slurmctld
pgrep -x slurmd >/dev/null || slurmd
scontrol update nodename="$host" state=resume 2>/dev/null || true
for _ in $(seq 60); do
	[ "$(sinfo -h -o %t 2>/dev/null)" != idle ] || exit 0
	sleep 0.5
done
sinfo
exit 1
