# SPDX-License-Identifier: Apache-2.0
# A certificate authority of the cluster's own and a kubeconfig for each who talks to the API server.
# Sourced; everything lies in $pki.

certificate() {  # NAME SUBJECT [subjectAltName]
  local name=$1 subject=$2 names=${3:-}
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$subject" \
    -keyout "$pki/$name.key" -out "$pki/$name.csr" 2>>"$logs/pki.log"
  openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial \
    -days 2 -out "$pki/$name.crt" -extfile <(
      echo 'keyUsage=digitalSignature'
      echo 'extendedKeyUsage=serverAuth,clientAuth'
      [ -z "$names" ] || echo "subjectAltName=$names"
    ) 2>>"$logs/pki.log"
}

kubeconfig() {  # FILE USER-YAML: prints nothing, writes FILE
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: bench
  cluster: {server: "https://$address:6443", certificate-authority: "$pki/ca.crt"}
users:
- name: user
  user: {$2}
contexts:
- name: bench
  context: {cluster: bench, user: user}
current-context: bench
YAML
}

identity() {  # NAME SUBJECT: a client certificate and $pki/NAME.conf
  certificate "$1" "$2"
  kubeconfig "$pki/$1.conf" "client-certificate: \"$pki/$1.crt\", client-key: \"$pki/$1.key\""
}

make_pki() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -subj /CN=gpuhost-bench -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>>"$logs/pki.log"
  openssl genrsa -out "$pki/service-account.key" 2048 2>>"$logs/pki.log"
  certificate apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$address,IP:10.96.0.1"
  identity admin /O=system:masters/CN=admin
  identity node "/O=system:nodes/CN=system:node:$node"
  identity controller-manager /CN=system:kube-controller-manager
  identity scheduler /CN=system:kube-scheduler
}
